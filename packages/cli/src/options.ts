/** The options that several commands share. */
import { readFile, writeFile } from 'node:fs/promises'
import { Option, type Command } from 'commander'
import { credentialOptions, readCredentials, type CredentialOptions } from './credentials.ts'
import { messageOf } from '@service-fs/format/errors'
import { ClientError } from '@service-fs/client/errors'
import { isUrl, withConnection, type Connection, type ConnectionOptions } from '@service-fs/client/http'
import type { TrustOptions } from '@service-fs/client/trust'

export const DEFAULT_URL = 'http://127.0.0.1:8080'

export interface TenantOptions extends CredentialOptions {
  moduleId?: string
}

export interface LedgerOptions extends TenantOptions {
  url: string
}

export interface KeyOptions {
  vkey?: string[]
  policy?: string
}

/** Adds `--url`, `--module-id` and the options of the credentials. */
export function ledgerOptions(command: Command): Command {
  return tenantOptions(
    command.addOption(
      new Option('--url <url>', 'the ledger, or one tenant at /t/<moduleId>/')
        .env('FS_URL')
        .default(DEFAULT_URL),
    ),
  )
}

/** Adds `--module-id` and the options of the credentials. */
export function tenantOptions(command: Command): Command {
  return credentialOptions(
    command.addOption(
      new Option('--module-id <id>', 'the tenant, unless the URL names it').env('FS_MODULE_ID'),
    ),
  )
}

/** Collects the values of an option that may be repeated. */
export function collect(value: string, before: string[] = []): string[] {
  return [...before, value]
}

/** Adds `--vkey` and `--policy`. */
export function keyOptions(command: Command): Command {
  return command
    .option('--vkey <vkey>', "the log's verifier key; may be repeated", collect)
    .option('--policy <file>', 'a tlog-policy: logs, witnesses and their quorum')
}

/**
 * Returns the options for a connection to a ledger. Without `--token-file`, the bearer token comes from FS_TOKEN.
 * @throws ClientError `usage`, `file`
 */
async function connectionOptions(url: string, options: TenantOptions): Promise<ConnectionOptions> {
  const credentials = await readCredentials(url, options, process.env['FS_TOKEN'] || undefined)
  return { moduleId: options.moduleId, ...credentials }
}

/**
 * Returns the options for opening the ledger at a place. Reads no credentials if the place is a path.
 * @throws ClientError `usage`, `file`
 */
export async function placeOptions(place: string, options: TenantOptions): Promise<ConnectionOptions> {
  return isUrl(place) ? connectionOptions(place, options) : { moduleId: options.moduleId }
}

/** Returns the keys to pin. @throws ClientError `file` */
export async function trustOptions(options: KeyOptions): Promise<TrustOptions> {
  const vkeys = options.vkey ?? []
  return options.policy === undefined ? { vkeys } : { vkeys, policy: await readInput(options.policy) }
}

/** Reads a file that the user named. @throws ClientError `file` */
export async function readInput(path: string): Promise<Buffer> {
  try {
    return await readFile(path)
  } catch (error) {
    throw new ClientError('file', messageOf(error))
  }
}

/** Writes a file that the user named. @throws ClientError `file` */
export async function writeOutput(path: string, content: string | Uint8Array): Promise<void> {
  try {
    await writeFile(path, content)
  } catch (error) {
    throw new ClientError('file', messageOf(error))
  }
}

/** Connects to the ledger at `--url`, runs `work`, and closes the connection. */
export async function withLedger<T>(
  options: LedgerOptions,
  work: (connection: Connection) => Promise<T>,
): Promise<T> {
  return withConnection(options.url, await connectionOptions(options.url, options), work)
}
