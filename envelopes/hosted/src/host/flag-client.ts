/** The tenant's side of file attributes: asks the supervisor to set them, because only it has the privilege. */
import { realpath } from 'node:fs/promises'
import { StorageError } from '@service-fs/storage/errors'
import { Limiter } from '@service-fs/storage/limiter'
import type { FileFlags, LocalFlags } from '@service-fs/storage-posix/flags'
import { type FlagReply, type FlagRequest, MOST_REQUESTS, parseFlagReply } from './flag-messages.ts'

/** The channel to the parent process: `process`, or a substitute in a test. */
export interface Channel {
  send?(message: unknown, handle: undefined, options: object, sent: (error: Error | null) => void): unknown
  on(event: 'message', listener: (message: unknown) => void): unknown
  on(event: 'disconnect', listener: () => void): unknown
  readonly channel?: { ref(): void; unref(): void } | null | undefined
}

/** How long to wait for the first reply in milliseconds. A supervisor that does not set attributes sends no reply. */
const HELLO_MS = 10_000

/** Returns the flags that the supervisor sets on the files below `dir`, the tenant's directory. */
export async function supervisorFlags(dir: string, channel: Channel = process): Promise<LocalFlags> {
  const client = new FlagClient(await realpath(dir), channel)
  const reason = await client.hello()
  return reason === undefined ? { flags: client } : { reason }
}

type Answered = (reply: FlagReply | undefined) => void

class FlagClient implements FileFlags {
  readonly #dir: string
  readonly #channel: Channel
  readonly #waiting = new Map<number, Answered>()
  readonly #requests = new Limiter(MOST_REQUESTS / 2)
  #ids = 0
  #gone = false

  constructor(dir: string, channel: Channel) {
    this.#dir = dir
    this.#channel = channel
    channel.on('message', (message) => {
      const reply = parseFlagReply(message)
      if (reply !== undefined) this.#waiting.get(reply.id)?.(reply)
    })
    channel.on('disconnect', () => {
      this.#gone = true
      for (const answered of this.#waiting.values()) answered(undefined)
    })
  }

  /** Returns why the supervisor sets no attributes; undefined when it does. */
  async hello(): Promise<string | undefined> {
    const timer = setTimeout(() => this.#waiting.get(this.#ids)?.(undefined), HELLO_MS)
    try {
      const reply = await this.#exchange((id) => ({ kind: 'flags', id, verb: 'hello' }))
      if (reply?.done === true) return undefined
      return reply === undefined ? 'the supervisor does not answer' : reply.message
    } finally {
      clearTimeout(timer)
    }
  }

  sealed(path: string): Promise<void> {
    return this.#ask((id) => ({ kind: 'flags', id, verb: 'sealed', path: this.#relative(path) }))
  }

  appendOnly(path: string): Promise<void> {
    return this.#ask((id) => ({ kind: 'flags', id, verb: 'appendOnly', path: this.#relative(path) }))
  }

  release(path: string, newer: string): Promise<void> {
    const paths = { path: this.#relative(path), newer: this.#relative(newer) }
    return this.#ask((id) => ({ kind: 'flags', id, verb: 'release', ...paths }))
  }

  #relative(path: string): string {
    if (path.startsWith(`${this.#dir}/`)) return path.slice(this.#dir.length + 1)
    throw new StorageError('path', 'expected a file of the ledger')
  }

  async #ask(request: (id: number) => FlagRequest): Promise<void> {
    const reply = await this.#requests.run(() => this.#exchange(request))
    if (reply === undefined)
      throw new StorageError('io', 'the supervisor, which sets file attributes, has ended')
    if (reply.done) return
    throw Object.assign(new Error(reply.message), { code: reply.code })
  }

  /** Resolves with undefined when the supervisor has ended. */
  async #exchange(request: (id: number) => FlagRequest): Promise<FlagReply | undefined> {
    const { channel } = this.#channel
    if (this.#gone || this.#channel.send === undefined) return undefined
    const id = ++this.#ids
    // Keep the process alive until the reply arrives.
    channel?.ref()
    try {
      return await new Promise<FlagReply | undefined>((resolve) => {
        this.#waiting.set(id, resolve)
        this.#channel.send?.(request(id), undefined, {}, (error) => {
          if (error !== null) resolve(undefined)
        })
      })
    } finally {
      this.#waiting.delete(id)
      if (this.#waiting.size === 0) channel?.unref()
    }
  }
}
