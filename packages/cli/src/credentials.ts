/** The credentials of a command: a bearer token or a client certificate, and the certificate authority to trust. */
import { X509Certificate } from 'node:crypto'
import { open } from 'node:fs/promises'
import { createSecureContext } from 'node:tls'
import { Option, type Command } from 'commander'
import { messageOf } from '@service-fs/format/errors'
import { ClientError } from '@service-fs/client/errors'
import { parseBaseUrl, type TlsOptions } from '@service-fs/client/http'

export interface CredentialOptions {
  /** The options whose values are names of files. */
  tokenFile?: string
  cacert?: string
  cert?: string
  key?: string
}

export interface Credentials {
  token?: string
  tls?: TlsOptions
}

function file(flag: string, what: string, variable: string): Option {
  return new Option(`${flag} <file>`, what).env(variable)
}

/** Adds `--token-file`, `--cacert`, `--cert` and `--key`. */
export function credentialOptions(command: Command): Command {
  return command
    .addOption(file('--token-file', 'a bearer token, readable only by its owner', 'FS_TOKEN_FILE'))
    .addOption(file('--cacert', "PEM: the authorities to trust instead of the system's", 'FS_CACERT'))
    .addOption(file('--cert', 'PEM: the client certificate and its intermediate certificates', 'FS_CERT'))
    .addOption(file('--key', "PEM: the client certificate's key, readable only by its owner", 'FS_KEY'))
}

/**
 * Reads the files that the options name, for a connection to `url`. Without `--token-file` the token is `token`.
 * @throws ClientError `file` when a file is unreadable or invalid, or others can read a secret; `usage` for a certificate without its
 * key, for a certificate without TLS, and for a token that would cross the network unencrypted
 */
export async function readCredentials(
  url: string,
  { tokenFile, cacert, cert, key }: CredentialOptions,
  token: string | undefined,
): Promise<Credentials> {
  const base = parseBaseUrl(url)
  const chosen = tokenFile === undefined ? token : (await readSecret(tokenFile, '--token-file')).trim()
  if (chosen !== undefined) checkToken(chosen, tokenFile ?? 'FS_TOKEN', base)
  if (cacert === undefined && cert === undefined && key === undefined) return named('token', chosen)
  if (base.protocol !== 'https:')
    throw new ClientError('usage', `--cacert, --cert, --key: expected a URL with https, found ${base.href}`)
  if ((cert === undefined) !== (key === undefined)) {
    const [given, other] = cert === undefined ? ['--key', '--cert'] : ['--cert', '--key']
    throw new ClientError('usage', `${given}: expected ${other} too`)
  }
  const tls: TlsOptions = {
    ...named('ca', cacert && (await readCertificate(cacert, '--cacert'))),
    ...named('cert', cert && (await readCertificate(cert, '--cert'))),
    ...named('key', key && (await readSecret(key, '--key'))),
  }
  try {
    createSecureContext({ ...tls })
  } catch (error) {
    throw new ClientError('file', `--cert ${cert}, --key ${key}: ${messageOf(error)}`)
  }
  return { ...named('token', chosen), tls }
}

/** Returns an object with one member, or an empty object if the value is undefined. */
function named<Name extends string>(name: Name, value: string | undefined): { [name in Name]?: string } {
  return value === undefined ? {} : ({ [name]: value } as { [name in Name]?: string })
}

/** Checks that a token has a valid form (RFC 6750 §2.1) and is sent over TLS (§5.3). No message contains the token. */
function checkToken(token: string, where: string, base: URL): void {
  if (!/^[A-Za-z0-9._~+/-]+=*$/.test(token))
    throw new ClientError('file', `${where}: expected a bearer token (RFC 6750), found something else`)
  if (base.protocol === 'https:' || isLocal(base.hostname)) return
  throw new ClientError(
    'usage',
    `${where}: expected https to send a token to another machine, found ${base.href}`,
  )
}

function isLocal(host: string): boolean {
  return host === 'localhost' || host.endsWith('.localhost') || host === '[::1]' || /^127\.[\d.]+$/.test(host)
}

async function readCertificate(path: string, option: string): Promise<string> {
  const { text } = await readSmall(path, option)
  try {
    new X509Certificate(text).toString()
  } catch {
    throw new ClientError('file', `${option} ${path}: expected certificates in PEM, found something else`)
  }
  return text
}

async function readSecret(path: string, option: string): Promise<string> {
  const { text, mode } = await readSmall(path, option)
  if ((mode & 0o077) === 0) return text
  const found = (mode & 0o777).toString(8).padStart(4, '0')
  throw new ClientError(
    'file',
    `${option} ${path}: expected a mode such as 0600, readable only by its owner, found ${found}`,
  )
}

async function readSmall(path: string, option: string): Promise<{ text: string; mode: number }> {
  try {
    const handle = await open(path)
    try {
      const { mode } = await handle.stat()
      return { text: await handle.readFile('utf8'), mode }
    } finally {
      await handle.close()
    }
  } catch (error) {
    throw new ClientError('file', `${option}: ${messageOf(error)}`)
  }
}
