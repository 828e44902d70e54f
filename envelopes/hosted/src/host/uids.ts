/**
 * Chooses the user that a tenant runs as. A tenant's user is the owner of its directory, even while the tenant is not in host.json.
 * So no new tenant gets the user of an existing ledger.
 */
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { codeOf } from '@service-fs/format/errors'
import { HostedError } from '@service-fs/http/errors'
import { secretDir } from '../tenant/keys.ts'
import type { HostConfig, TenantConfig } from './config.ts'
import { directoryAt, isEmptyDirectory, type Owner } from './files.ts'

/** Reports whether this process is root: it may change the owner of files and run processes as other users. */
export function isRoot(): boolean {
  return process.getuid?.() === 0
}

/** Finds users for tenants. It reads the users in use only once, so create a new instance each time the root's lock is taken. */
export class Users {
  readonly #config: HostConfig
  #taken: Set<number> | undefined

  constructor(config: HostConfig) {
    this.#config = config
  }

  /**
   * Returns the tenant's user: the configured one, else the owner of its existing directories, else the first free one.
   * @throws HostedError `config` when the user or group is the front's, root owns a directory with contents, or no user is free
   */
  async ownerOf(tenant: TenantConfig): Promise<Owner> {
    const { moduleId } = tenant
    const { root, front } = this.#config
    const found = await ownerThere(root, moduleId)
    const uid = tenant.uid ?? found?.uid ?? (await this.#free())
    const gid = tenant.gid ?? (found?.uid === uid ? found.gid : uid)
    // A process with the front's group can connect to every tenant's socket.
    if (uid === front.uid || gid === front.gid)
      throw new HostedError(
        'config',
        `${moduleId}: expected a user and a group other than the front's, found ${uid}:${gid}`,
      )
    this.#taken?.add(uid).add(gid)
    return { uid, gid }
  }

  async #free(): Promise<number> {
    this.#taken ??= await takenUids(this.#config)
    const { from, to } = this.#config.uids
    for (let uid = from; uid <= to; uid++) if (!this.#taken.has(uid)) return uid
    throw new HostedError('config', `uids: expected an unused uid from ${from} to ${to}, found none`)
  }
}

/** Returns the owner of a tenant's existing directories. An empty directory of root's does not count. */
async function ownerThere(root: string, moduleId: string): Promise<Owner | undefined> {
  for (const path of [join(root, moduleId), secretDir(root, moduleId)]) {
    const found = await directoryAt(path)
    if (found === undefined || (found.uid === 0 && (await isEmptyDirectory(path)))) continue
    if (found.uid === 0)
      throw new HostedError(
        'config',
        `${path}: belongs to root and is not empty: set its owner with chown -hR UID:GID ${path}`,
      )
    return found
  }
  return undefined
}

async function takenUids({ root, front, tenants }: HostConfig): Promise<Set<number>> {
  const taken = new Set([front.uid, front.gid, ...(await idsOfSystem())])
  for (const { uid, gid } of tenants) for (const one of [uid, gid]) if (one !== undefined) taken.add(one)
  for (const dir of [root, join(root, '.secret')]) for (const one of await ownersIn(dir)) taken.add(one)
  return taken
}

async function ownersIn(dir: string): Promise<number[]> {
  if ((await directoryAt(dir)) === undefined) return []
  const owners: number[] = []
  for (const entry of await readdir(dir, { withFileTypes: true })) {
    const found = entry.isDirectory() ? await directoryAt(join(dir, entry.name)) : undefined
    if (found !== undefined) owners.push(found.uid, found.gid)
  }
  return owners
}

/** Returns the ids of all named users and groups of this machine. */
async function idsOfSystem(): Promise<number[]> {
  const ids: number[] = []
  for (const file of ['/etc/passwd', '/etc/group']) {
    const text = await readFile(file, 'utf8').catch((error: unknown) => {
      if (codeOf(error) === 'ENOENT') return ''
      throw error
    })
    for (const line of text.split('\n')) ids.push(Number(line.split(':')[2] ?? Number.NaN))
  }
  return ids
}
