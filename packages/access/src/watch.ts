/** Reloads the access settings when their files change. */
import { stat } from 'node:fs/promises'
import { type AccessFiles, type AccessSettings, filesOf, loadAccess } from './settings.ts'

/** The number of milliseconds between two checks of the files. A revoked token is accepted no longer than this. */
const LOOK_MS = 1000

export interface WatchOptions {
  /** Called with changed settings. An error that it throws goes to `report`; the next change of a file tries again. */
  onChange(settings: AccessSettings): void | Promise<void>
  /** Receives the reason when settings are refused. The previous settings stay in force. */
  report(error: unknown): void
  lookMs?: number
}

export interface AccessWatch {
  /** Reads all files again, whether or not they have changed (SIGHUP). Never rejects. */
  reload(): Promise<void>
  close(): void
}

/**
 * Watches the configured files for changes: files that are written or replaced, and links that are replaced. `configured` is the
 * configuration, or a function that reads it from files; these files (`from`) are then watched too.
 */
export function watchAccess(
  configured: AccessFiles | (() => Promise<AccessFiles & { from?: readonly string[] }>),
  options: WatchOptions,
): AccessWatch {
  const watch = new Watch(configured, options)
  return { reload: () => watch.reload(), close: () => watch.close() }
}

class Watch {
  readonly #read: () => Promise<AccessFiles & { from?: readonly string[] }>
  readonly #options: WatchOptions
  readonly #timer: NodeJS.Timeout
  #files: readonly string[] = []
  #seen: string | undefined
  #last: string | undefined
  #queue: Promise<void>

  constructor(
    configured: AccessFiles | (() => Promise<AccessFiles & { from?: readonly string[] }>),
    options: WatchOptions,
  ) {
    this.#read = typeof configured === 'function' ? configured : () => Promise.resolve(configured)
    this.#options = options
    this.#queue = this.#look(true)
    this.#timer = setInterval(() => void this.#next(false), options.lookMs ?? LOOK_MS)
    this.#timer.unref()
  }

  reload(): Promise<void> {
    return this.#next(true)
  }

  close(): void {
    clearInterval(this.#timer)
  }

  /** Runs one check at a time. */
  #next(forced: boolean): Promise<void> {
    this.#queue = this.#queue.then(() => this.#look(forced))
    return this.#queue
  }

  async #look(forced: boolean): Promise<void> {
    try {
      const seen = await appearance(this.#files)
      if (!forced && seen === this.#seen) return
      // Record the state before reading, so that the next check sees a change in between.
      this.#seen = seen
      const configured = await this.#read()
      this.#files = [...(configured.from ?? []), ...filesOf(configured)]
      this.#seen = await appearance(this.#files)
      const settings = await loadAccess(configured.access, configured.tls, configured.base)
      const text = JSON.stringify(settings)
      if (text === this.#last) return
      await this.#options.onChange(settings)
      this.#last = text
    } catch (error) {
      this.#options.report(error)
    }
  }
}

/** Returns a text that changes when a file changes. Follows links. */
async function appearance(files: readonly string[]): Promise<string> {
  const seen = await Promise.all(
    files.map(async (path) => {
      try {
        const { dev, ino, size, mode, mtimeNs, ctimeNs } = await stat(path, { bigint: true })
        return `${dev} ${ino} ${size} ${mode} ${mtimeNs} ${ctimeNs}`
      } catch {
        return 'gone'
      }
    }),
  )
  return seen.join('\n')
}
