/**
 * Creates the directories of a host before any process runs in them:
 *
 *     <root>/                0711 root             <run>/             0711 root
 *     <root>/.secret/        0711 root             <run>/<ID>/        2710 tenant, group of the front
 *     <root>/.host/          0700 root             <run>/<ID>/socket  0660 tenant, group of the front; the tenant creates it
 *     <root>/<ID>/           0700 tenant           <run>/.host/       0700 root
 *     <root>/.secret/<ID>/   0700 tenant, with the two private keys, 0600
 *
 * Without root, one user owns them all, and <root>, <root>/.secret, <run> and <run>/<ID> have mode 0700. Root never
 * writes into a directory that a tenant owns: it creates a tenant's directory under a temporary name and then renames
 * it. Nothing here removes a directory.
 */
import { randomBytes } from 'node:crypto'
import { chmod, chown, mkdir, rename } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { defaultOrigin } from '@service-fs/format/module-id'
import { syncDir } from '../tenant/durable.ts'
import { HostedError } from '@service-fs/http/errors'
import { AUDIT_KEY, LEDGER_KEY, openSigner, secretDir } from '../tenant/keys.ts'
import type { HostConfig, TenantConfig } from './config.ts'
import { directoryAt, ensureDirectory, isEmptyDirectory, type Owner } from './files.ts'
import { isRoot } from './uids.ts'

/** The directory of the host's own locks. No tenant can have this name. */
export const HOST_DIR = '.host'

/** Returns the path of the tenant's socket. */
export function socketOf(config: Pick<HostConfig, 'run'>, moduleId: string): string {
  return join(config.run, moduleId, 'socket')
}

/** Creates `<root>` and the host's own directories in it. */
export async function prepareRoot({ root }: Pick<HostConfig, 'root'>): Promise<void> {
  const mode = isRoot() ? 0o711 : 0o700
  await ensureDirectory(root, mode)
  await ensureDirectory(join(root, '.secret'), mode)
  await ensureDirectory(join(root, HOST_DIR), 0o700)
  await syncDir(root)
}

/** Creates `<run>` and the host's own directory in it. */
export async function prepareRun({ run }: Pick<HostConfig, 'run'>): Promise<void> {
  await ensureDirectory(run, isRoot() ? 0o711 : 0o700)
  await ensureDirectory(join(run, HOST_DIR), 0o700)
}

/** Creates the directory of a tenant's socket. */
export async function prepareSocket(config: HostConfig, moduleId: string, owner?: Owner): Promise<void> {
  const dir = dirname(socketOf(config, moduleId))
  if (owner === undefined) await ensureDirectory(dir, 0o700)
  else await ensureDirectory(dir, 0o2710, { uid: owner.uid, gid: config.front.gid })
}

export interface Prepared {
  /** Whether the keys were created; false when they existed already. */
  hasNewKeys: boolean
}

/**
 * Creates a tenant's missing directories, and its keys when neither they nor its ledger exist.
 * @throws HostedError `config` when an existing directory has another owner or mode; `key` when the ledger exists without its keys
 */
export async function prepareTenant(
  { root }: HostConfig,
  { moduleId, origin }: TenantConfig,
  owner?: Owner,
): Promise<Prepared> {
  const ledger = join(root, moduleId)
  const secret = secretDir(root, moduleId)
  const isNew = await isVacant(ledger)
  const lacksKeys = await isVacant(secret)
  if (!isNew) await checkOwner(ledger, owner)
  if (!lacksKeys) await checkOwner(secret, owner)
  if (lacksKeys && !isNew)
    throw new HostedError(
      'key',
      `${secret}: the ledger exists but its private keys are missing: restore them; new keys could not sign for this ledger`,
    )
  // Create the keys first: a ledger directory without keys would count as a ledger that lost them.
  if (lacksKeys)
    await putInPlace(secret, owner, async (dir) => {
      const name = origin ?? defaultOrigin(moduleId)
      await makeKey(join(dir, LEDGER_KEY), name, owner)
      await makeKey(join(dir, AUDIT_KEY), `${name}/audit`, owner)
    })
  if (isNew) await putInPlace(ledger, owner)
  return { hasNewKeys: lacksKeys }
}

/** Reports whether a tenant's ledger and keys exist; then `prepareTenant` only checks them. */
export async function isPrepared(
  { root }: Pick<HostConfig, 'root'>,
  { moduleId }: Pick<TenantConfig, 'moduleId'>,
): Promise<boolean> {
  return !(await isVacant(join(root, moduleId))) && !(await isVacant(secretDir(root, moduleId)))
}

async function isVacant(path: string): Promise<boolean> {
  return (await directoryAt(path)) === undefined || isEmptyDirectory(path)
}

async function checkOwner(path: string, owner: Owner | undefined): Promise<void> {
  const found = await directoryAt(path)
  if (owner === undefined || found === undefined) return
  if (found.uid !== owner.uid)
    throw new HostedError(
      'config',
      `${path}: expected the owner uid ${owner.uid}, found ${found.uid}: chown -hR ${owner.uid}:${owner.gid} ${path}`,
    )
  if ((found.mode & 0o077) !== 0)
    throw new HostedError(
      'config',
      `${path}: expected mode 0700, found 0${found.mode.toString(8)}: chmod 700 ${path}`,
    )
}

/**
 * Creates a directory under a temporary name, fills it, changes its owner and renames it to `path`. Without `fill`, an existing empty
 * directory only changes its owner.
 */
async function putInPlace(
  path: string,
  owner: Owner | undefined,
  fill?: (dir: string) => Promise<void>,
): Promise<void> {
  const isThere = (await directoryAt(path)) !== undefined
  const dir = isThere && fill === undefined ? path : `${dirname(path)}/.new-${randomBytes(6).toString('hex')}`
  if (dir !== path) await mkdir(dir, { mode: 0o700 })
  await fill?.(dir)
  await chmod(dir, 0o700)
  if (owner !== undefined) await chown(dir, owner.uid, owner.gid)
  await syncDir(dir)
  if (dir !== path) await rename(dir, path)
  await syncDir(dirname(path))
}

async function makeKey(path: string, name: string, owner: Owner | undefined): Promise<void> {
  await openSigner(path, name, true)
  if (owner !== undefined) await chown(path, owner.uid, owner.gid)
}
