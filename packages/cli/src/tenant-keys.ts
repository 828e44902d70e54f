/** The private keys of tenants, made or taken from a daemon's files. */
import { randomBytes } from 'node:crypto'
import { constants } from 'node:fs'
import { open, type FileHandle } from 'node:fs/promises'
import { join } from 'node:path'
import { nativeCrypto } from '@service-fs/native/native'
import { parseSignerKey, signerFromKey, signerVkey, type SignerKey } from '@service-fs/tlog/keys'
import { TYPE_ED25519, formatVkey, isKeyName } from '@service-fs/tlog/note'
import { messageOf } from '@service-fs/format/errors'
import { ClientError } from '@service-fs/client/errors'
import { LONGEST_KEY_NAME, type DiskKey } from './key-disk.ts'
import { defaultOrigin } from '@service-fs/format/module-id'

/** A daemon's files of a tenant's private keys: the ledger's, the audit sub-ledger's. */
const LEDGER_KEY = 'ed25519.key'
const AUDIT_KEY = 'audit-ed25519.key'

/** A tenant, as the command line names it. */
export interface Tenant {
  moduleId: string
  origin?: string
  /** The directory of its keys' files. */
  secret?: string
}

export interface TenantKeys {
  moduleId: string
  origin: string
  /** The ledger's, the audit sub-ledger's. */
  keys: [DiskKey, DiskKey]
}

/** The keys of all tenants, made or read. No two have the same name. @throws ClientError `usage`, `file` */
export async function tenantKeys(tenants: readonly Tenant[]): Promise<TenantKeys[]> {
  const all: TenantKeys[] = []
  const names = new Set<string>()
  for (const { moduleId, origin, secret } of tenants) {
    const name = origin ?? defaultOrigin(moduleId)
    const [main, audit] =
      secret === undefined
        ? [newKey(name), newKey(`${name}/audit`)]
        : [await readKey(join(secret, LEDGER_KEY), origin), await readKey(join(secret, AUDIT_KEY))]
    for (const key of [main, audit]) {
      checkName(key.name)
      if (names.has(key.name))
        throw new ClientError('usage', `--origin: expected each name once, found ${key.name} twice`)
      names.add(key.name)
    }
    if (audit.name !== `${main.name}/audit`)
      throw new ClientError('file', `${secret}: expected a key named ${main.name}/audit, found ${audit.name}`)
    all.push({ moduleId, origin: main.name, keys: [main, audit] })
  }
  return all
}

function newKey(name: string): DiskKey {
  return { name, seed: new Uint8Array(randomBytes(32)) }
}

/** @throws ClientError `usage`: no name of a key, or the key disk has no room for it */
function checkName(name: string): void {
  if (isKeyName(name) && !name.includes('\u007f') && Buffer.byteLength(name) <= LONGEST_KEY_NAME) return
  throw new ClientError(
    'usage',
    `--origin: expected a name without spaces and plus signs, of at most ${LONGEST_KEY_NAME - '/audit'.length} bytes, found ${JSON.stringify(name)}`,
  )
}

/** A private key of a daemon. No message quotes it. @throws ClientError `file`; `usage` where it is not named `expected` */
async function readKey(path: string, expected?: string): Promise<DiskKey> {
  const text = await readPrivate(path)
  let key: SignerKey
  try {
    key = parseSignerKey(text)
    // That the key is the one whose id is in the text.
    signerFromKey(text, { ...nativeCrypto, now: () => 0 })
  } catch {
    throw new ClientError('file', `${path}: expected a private key in Go's note format, found something else`)
  }
  if (key.type !== TYPE_ED25519)
    throw new ClientError('file', `${path}: expected an Ed25519 key, found another`)
  if (expected !== undefined && key.name !== expected)
    throw new ClientError('usage', `--origin: the key in ${path} is named ${key.name}, not ${expected}`)
  return { name: key.name, seed: key.seed }
}

async function readPrivate(path: string): Promise<string> {
  let file: FileHandle | undefined
  try {
    file = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW)
    if (((await file.stat()).mode & 0o077) !== 0)
      throw new Error(`${path}: a private key must be for its owner only: chmod 600 ${path}`)
    return (await file.readFile('utf8')).replace(/\n$/, '')
  } catch (error) {
    throw new ClientError('file', messageOf(error))
  } finally {
    await file?.close()
  }
}

/** The verifier key. */
export function diskVkey({ name, seed }: DiskKey): string {
  return formatVkey(signerVkey({ name, type: TYPE_ED25519, seed }, nativeCrypto))
}
