/**
 * The high-water mark in `<key>.used`, beside the private key and outside of the ledger's directory: the newest signed checkpoint
 * (c2sp.org/tlog-checkpoint) whose commit was durable. The file has two slots of 4096 bytes, each with one checkpoint, padded with
 * line feeds. Each write overwrites the older slot in place and calls fdatasync. A torn write damages one slot; the other still has
 * the previous mark. Of the checkpoints whose signature verifies, the larger one is the mark.
 *
 * An empty file, written by earlier versions, shows only that the key has signed a checkpoint.
 */
import { constants } from 'node:fs'
import * as fs from 'node:fs/promises'
import { codeOf } from '@service-fs/format/errors'
import type { HighWaterMark, Mark } from '@service-fs/ledger/high-water-mark'
import { openCheckpoint } from '@service-fs/tlog/checkpoint'
import { systemError } from '@service-fs/storage/errors'
import type { Verifier } from '@service-fs/tlog/note'
import { nativeCodec } from '@service-fs/native/native'
import { replaceFile } from './durable.ts'
import { HostedError } from '@service-fs/http/errors'
import { usedPath } from './keys.ts'

/** The size of a page in the page cache, and a multiple of the sector size of every disk. */
const SLOT = 4096
const LINE_FEED = 0x0a

/** Tree sizes that an operator accepts although larger trees were acknowledged. */
export interface AcceptSizes {
  main?: number | undefined
  audit?: number | undefined
}

const FLAGS = { main: '--accept-shorter-tree', audit: '--accept-shorter-audit-tree' }

/** Returns the command that opens a ledger although a larger tree was acknowledged. */
export function acceptCommand(
  place: { moduleId: string; root: string } | { moduleId: string; disk: string },
  sizes: AcceptSizes,
): string {
  const where = 'root' in place ? `--root ${place.root}` : `--envelope b --disk ${place.disk}`
  const flags = (['main', 'audit'] as const).flatMap((name) =>
    sizes[name] === undefined ? [] : [`${FLAGS[name]} ${sizes[name]}`],
  )
  return `service-fs serve --module-id ${place.moduleId} ${where} ${flags.join(' ')}`
}

export interface MarkFileOptions {
  /** The private key's path. */
  key: string
  origin: string
  verifiers: Verifier[]
  /** Returns the command with which an operator accepts a ledger of `size` entries. */
  accept(size: number): string
}

export class MarkFile implements HighWaterMark {
  readonly name: string
  readonly #options: MarkFileOptions
  #file: fs.FileHandle | undefined
  #slot = 0

  constructor(options: MarkFileOptions) {
    this.name = usedPath(options.key)
    this.#options = options
  }

  remedy(size: number): string {
    return (
      'the end of the ledger is lost, or an older copy of it was restored: restore the whole ledger. Only if the missing entries ' +
      `cannot be recovered, give them up and continue from ${size} entries with: ${this.#options.accept(size)}`
    )
  }

  async read(): Promise<Mark | undefined> {
    const bytes = await readSlots(this.name)
    if (bytes === undefined || bytes.length === 0) return undefined
    const marks = [0, 1].flatMap((slot) => this.#open(bytes.subarray(slot * SLOT, (slot + 1) * SLOT)))
    if (bytes.length !== 2 * SLOT || marks.length === 0)
      throw new HostedError(
        'key',
        `${this.name}: expected a signed checkpoint of ${this.#options.origin} in one of two slots of ${SLOT} bytes, found ${bytes.length} bytes with none that verifies`,
      )
    return marks.reduce((newest, one) => (one.size > newest.size ? one : newest))
  }

  async begin({ note }: { note: string }): Promise<void> {
    await this.close()
    const text = new Uint8Array(2 * SLOT).fill(LINE_FEED)
    text.set(slotOf(note))
    try {
      await replaceFile(this.name, text)
      this.#file = await fs.open(this.name, constants.O_WRONLY | constants.O_NOFOLLOW)
    } catch (error) {
      throw systemError(this.name, error)
    }
    this.#slot = 1
  }

  async note({ note }: { note: string }): Promise<void> {
    if (this.#file === undefined) throw new Error(`${this.name}: not begun`)
    try {
      await this.#file.write(slotOf(note), 0, SLOT, this.#slot * SLOT)
      await this.#file.datasync()
    } catch (error) {
      throw systemError(this.name, error)
    }
    this.#slot = 1 - this.#slot
  }

  async close(): Promise<void> {
    const file = this.#file
    this.#file = undefined
    await file?.close()
  }

  #open(slot: Uint8Array): Mark[] {
    try {
      const text = `${nativeCodec.utf8Decode(slot).replace(/\n+$/, '')}\n`
      const { checkpoint } = openCheckpoint(text, this.#options.verifiers, this.#options.origin)
      return [{ size: checkpoint.size, root: checkpoint.root }]
    } catch {
      return []
    }
  }
}

function slotOf(note: string): Uint8Array {
  const slot = new Uint8Array(SLOT).fill(LINE_FEED)
  const bytes = nativeCodec.utf8Encode(note)
  if (bytes.length > SLOT)
    throw new RangeError(`expected a checkpoint of at most ${SLOT} bytes, found ${bytes.length}`)
  slot.set(bytes)
  return slot
}

async function readSlots(path: string): Promise<Uint8Array | undefined> {
  let file: fs.FileHandle
  try {
    file = await fs.open(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK)
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return undefined
    throw new HostedError('key', `${path}: ${error instanceof Error ? error.message : 'unreadable'}`, {
      cause: error,
    })
  }
  try {
    const bytes = new Uint8Array(2 * SLOT + 1)
    let length = 0
    for (;;) {
      const { bytesRead } = await file.read(bytes, length, bytes.length - length, length)
      if (bytesRead === 0) return bytes.slice(0, length)
      length += bytesRead
    }
  } finally {
    await file.close()
  }
}
