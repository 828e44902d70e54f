/** Access that is configured anew while the process runs. */
import { stat } from 'node:fs/promises'
import { type AccessFiles, type AccessSettings, filesOf, loadAccess } from './settings.ts'

/** How often files are looked at, in milliseconds: a revoked token passes no longer than that. */
const LOOK_MS = 1000

export interface WatchOptions {
  /** Told of settings that differ from those before. What it throws goes to `report`, and is tried again when a file changes. */
  onChange(settings: AccessSettings): void | Promise<void>
  /** Told why settings were not taken. Those before stay in force. */
  report(error: unknown): void
  lookMs?: number
}

export interface AccessWatch {
  /** Reads everything again, changed or not (SIGHUP). Never rejects. */
  reload(): Promise<void>
  close(): void
}

/**
 * Looks at the files that are named and tells when they change, be it that they are written, replaced, or a link to them is.
 * `configured` is what is named, or what reads it; then its own files (`from`) are looked at as well.
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

  /** One look at a time. */
  #next(forced: boolean): Promise<void> {
    this.#queue = this.#queue.then(() => this.#look(forced))
    return this.#queue
  }

  async #look(forced: boolean): Promise<void> {
    try {
      const seen = await appearance(this.#files)
      if (!forced && seen === this.#seen) return
      // What is seen before it is read: a change in between is seen the next time.
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

/** What tells one state of the files from another; links are followed. */
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
