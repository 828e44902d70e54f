/** Writes records to files below one directory, and nowhere else. */
import { constants } from 'node:fs'
import { lstat, mkdir, open, readlink, symlink } from 'node:fs/promises'
import { join } from 'node:path'
import { codeOf, messageOf } from '@service-fs/format/errors'
import { ClientError } from '@service-fs/client/errors'
import { DIRECTORY_TYPE, LINK_TYPE } from './files.ts'

export interface RestoredRecord {
  id: string
  type: string
  payload: Uint8Array
}

/** The codes of errors that are caused by the id or by an existing file. All other errors are caused by the disk. */
const OF_THE_NAME: ReadonlySet<string> = new Set([
  'EEXIST',
  'ENOTDIR',
  'EISDIR',
  'ENAMETOOLONG',
  'EINVAL',
  'ELOOP',
  'ENOENT',
])

/** Returns the reason why an id can't be a path below a directory; undefined if it can. */
export function pathProblem(id: string): string | undefined {
  if (id.startsWith('/')) return 'an absolute path'
  const bad = id.split('/').find((part) => part === '' || part === '.' || part === '..')
  if (bad === undefined) return undefined
  return bad === '' ? 'a path with an empty part' : `a path with a part ${JSON.stringify(bad)}`
}

/**
 * Writes records to files. Refuses an id that leads out of the directory. Follows no symbolic link below the directory: makes the links
 * among the records last, so that no record is written through a link. Never overwrites a file: refuses the record unless the file has the
 * same content.
 */
export class Restorer {
  readonly #dir: string
  readonly #known = new Set<string>()
  readonly #links: RestoredRecord[] = []
  /** The ids that were not written, with the reasons. */
  readonly refused: { id: string; reason: string }[] = []
  written = 0
  /** Records that were left out because no author signed them. */
  unsigned = 0

  constructor(dir: string) {
    this.#dir = dir
  }

  /** Writes one record; `finish` writes symbolic links. @throws ClientError `file` for an error of the disk */
  async write(content: RestoredRecord): Promise<void> {
    const problem = pathProblem(content.id)
    if (problem !== undefined) {
      this.refused.push({ id: content.id, reason: `refused: ${problem}` })
      return
    }
    if (content.type === LINK_TYPE) this.#links.push(content)
    else await this.#attempt(content)
  }

  /** Does not write a record. */
  refuse(id: string, reason: string): void {
    this.refused.push({ id, reason })
  }

  /** Writes the symbolic links. @throws ClientError `file` */
  async finish(): Promise<void> {
    for (const link of this.#links.splice(0)) await this.#attempt(link)
  }

  async #attempt(content: RestoredRecord): Promise<void> {
    try {
      const parts = content.id.split('/')
      if (content.type === DIRECTORY_TYPE) await this.#directory(parts)
      else await this.#content(content, parts)
      this.written += 1
    } catch (error) {
      if (!(error instanceof ClientError) && !OF_THE_NAME.has(codeOf(error) ?? ''))
        throw new ClientError('file', messageOf(error))
      this.refused.push({ id: content.id, reason: messageOf(error) })
    }
  }

  async #content({ type, payload, id }: RestoredRecord, parts: string[]): Promise<void> {
    await this.#directory(parts.slice(0, -1))
    const path = join(this.#dir, id)
    if (type === LINK_TYPE) await makeLink(path, payload)
    else await makeFile(path, payload)
  }

  /** Makes a directory and its parents. Each of them must be a directory and not a link to a directory. */
  async #directory(parts: readonly string[]): Promise<void> {
    if (this.#known.size === 0) await mkdir(this.#dir, { recursive: true })
    this.#known.add('')
    for (let i = 1; i <= parts.length; i++) {
      const relative = parts.slice(0, i).join('/')
      if (this.#known.has(relative)) continue
      const path = join(this.#dir, relative)
      await mkdir(path).catch((error: unknown) => {
        if (codeOf(error) !== 'EEXIST') throw error
      })
      if (!(await lstat(path)).isDirectory())
        throw new ClientError('file', `${path}: expected a directory, found something else`)
      this.#known.add(relative)
    }
  }
}

async function makeFile(path: string, payload: Uint8Array): Promise<void> {
  try {
    // The flag `x` creates a new file, and never follows a link.
    const handle = await open(path, 'wx')
    try {
      await handle.writeFile(payload)
    } finally {
      await handle.close()
    }
  } catch (error) {
    if (codeOf(error) !== 'EEXIST') throw error
    if (!(await holds(path, payload))) {
      throw new ClientError('file', `${path}: the file exists with other content`)
    }
  }
}

/** Reports whether a path is a regular file, not a link, with this content. */
async function holds(path: string, payload: Uint8Array): Promise<boolean> {
  if (!(await lstat(path)).isFile()) return false
  const handle = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK)
  try {
    const stats = await handle.stat()
    return stats.isFile() && stats.size === payload.length && (await handle.readFile()).equals(payload)
  } finally {
    await handle.close()
  }
}

async function makeLink(path: string, target: Uint8Array): Promise<void> {
  try {
    await symlink(Buffer.from(target), path)
  } catch (error) {
    if (codeOf(error) !== 'EEXIST') throw error
    if (
      !(await lstat(path)).isSymbolicLink() ||
      !(await readlink(path, { encoding: 'buffer' })).equals(target)
    ) {
      throw new ClientError('file', `${path}: the file exists and is not this symbolic link`)
    }
  }
}
