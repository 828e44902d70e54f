/** Protects a ledger's files with file attributes. */
import { readdir } from 'node:fs/promises'
import { errnoOf, systemError } from '@service-fs/storage/errors'
import type { Protection } from '@service-fs/storage/file-system'
import { NO_FLAGS, type FileFlags } from './flags.ts'
import { onlyGrows } from './probe.ts'

/** Protects the files of the ledger in `root` by flags. */
export class FlaggedFiles implements Protection {
  readonly #root: string
  readonly #flags: FileFlags
  /** By path, the directories that are append-only: no name in them can be removed. */
  readonly #directories = new Map<string, Promise<void>>()

  constructor(root: string, flags: FileFlags) {
    this.#root = root
    this.#flags = flags
  }

  async sealed(path: string): Promise<void> {
    await this.#flags.sealed(this.#path(path))
    for (let at = path.lastIndexOf('/'); at > 0; at = path.lastIndexOf('/', at - 1))
      await this.#directory(path.slice(0, at))
  }

  tail(path: string): Promise<void> {
    return this.#flags.appendOnly(this.#path(path))
  }

  release(path: string, newer: string): Promise<void> {
    return this.#flags.release(this.#path(path), this.#path(newer))
  }

  #directory(dir: string): Promise<void> {
    let done = this.#directories.get(dir)
    if (done === undefined) {
      done = this.#flags.appendOnly(this.#path(dir))
      this.#directories.set(dir, done)
      done.catch(() => this.#directories.delete(dir))
    }
    return done
  }

  #path(path: string): string {
    return `${this.#root}/${path}`
  }
}

/** Returns flags that set nothing when another process has made the ledger's tail append-only; undefined otherwise. */
export async function flagsFound(root: string): Promise<FileFlags | undefined> {
  try {
    for (const name of await readdir(`${root}/tail`))
      if (await onlyGrows(`${root}/tail/${name}`)) return NO_FLAGS
  } catch (error) {
    if (errnoOf(error) !== 'ENOENT' && errnoOf(error) !== 'ENOTDIR') throw systemError('tail', error)
  }
  return undefined
}
