/** Makes an examiner's pack of an open ledger, as fast as its client reads it. */
import { mkdir, mkdtemp } from 'node:fs/promises'
import { join } from 'node:path'
import { setImmediate } from 'node:timers/promises'
import type { SignatureVerifier } from '@service-fs/client/companions'
import { Collected } from '@service-fs/client/examine/collected'
import { examineSource, type ExaminedLedger } from '@service-fs/client/examine/ledger'
import { makePack } from '@service-fs/client/examine/pack'
import { ZipOutput } from '@service-fs/client/examine/zip-output'
import type { LogSource } from '@service-fs/client/source'
import type { Selection } from '@service-fs/format/selection'
import { storedPath, TILE_WIDTH } from '@service-fs/tlog/tile'
import type { WireLedger } from '@service-fs/wire/call'
import type { PackMaker, RecordedPack } from '@service-fs/wire/packs'
import { VERSION } from '../version.ts'

/** Loads the verifier with the first signature, because most ledgers have none. */
const verifyAuthor: SignatureVerifier = async (payload, type, signature) => {
  const { verifySignature } = await import('@service-fs/author/verify')
  return verifySignature(payload, type, signature)
}

/** Bytes that a client gets at once. */
const PIECE = 256 << 10
/** How long a client may take to read them. */
const PATIENCE_MS = 60_000

export interface PackStreamOptions {
  readonly ledger: WireLedger
  /** A directory for the parts of an archive that grow until its end. */
  readonly folder: string
  readonly patience?: number
}

/**
 * Verifies the newest checkpoint of a ledger, and returns the pack of a selection. @throws ClientError, and the errors
 * of the ledger
 */
export async function openPack(
  { ledger, folder, patience = PATIENCE_MS }: PackStreamOptions,
  selection: Selection,
): Promise<PackMaker> {
  const examined = await examineSource(ledgerSource(ledger), async () => [...ledger.vkeys], 'v1/contract', {})
  return new PackStream(examined, selection, folder, patience)
}

/** Returns the log of an open ledger. Other requests can run between two reads. */
function ledgerSource(ledger: WireLedger): LogSource {
  return {
    name: storedPath,
    checkpoint: async () => ledger.checkpoint(),
    async hashTile(level, index, width) {
      return [...(await ledger.hashTile(level, index, width))]
    },
    async bundle(index, width) {
      await setImmediate()
      return [...(await ledger.entries(index * TILE_WIDTH, index * TILE_WIDTH + width))]
    },
  }
}

interface Piece {
  readonly bytes: Uint8Array
  taken(): void
  failed(why: unknown): void
}

interface Reader {
  give(result: IteratorResult<Uint8Array, undefined>): void
  fail(why: unknown): void
}

/** A pack whose writer waits until its reader has taken the earlier bytes. */
class PackStream implements PackMaker {
  readonly size: number
  readonly #ledger: ExaminedLedger
  readonly #selection: Selection
  readonly #folder: string
  readonly #patience: number
  #recorded: RecordedPack | undefined
  #work: Promise<void> | undefined
  #piece: Piece | undefined
  #reader: Reader | undefined
  #stopped: Error | undefined
  /** How the work ended. */
  #end: { error?: unknown } | undefined

  constructor(ledger: ExaminedLedger, selection: Selection, folder: string, patience: number) {
    this.size = ledger.checkpoint.size
    this.#ledger = ledger
    this.#selection = selection
    this.#folder = folder
    this.#patience = patience
  }

  recorded(entry: RecordedPack): void {
    this.#recorded = entry
  }

  next(): Promise<IteratorResult<Uint8Array, undefined>> {
    if (this.#stopped !== undefined) return Promise.reject(this.#stopped)
    this.#work ??= this.#run()
    return new Promise((give, fail) => {
      this.#reader = { give, fail }
      this.#hand()
    })
  }

  async stop(why: Error): Promise<void> {
    this.#stopped ??= why
    const piece = this.#piece
    this.#piece = undefined
    piece?.failed(why)
    this.#hand()
    await this.#work
  }

  /** Gives a waiting reader the bytes that are available. */
  #hand(): void {
    const reader = this.#reader
    const piece = this.#piece
    if (reader === undefined) return
    if (this.#stopped !== undefined) reader.fail(this.#stopped)
    else if (piece !== undefined) {
      this.#piece = undefined
      piece.taken()
      reader.give({ done: false, value: piece.bytes })
    } else if (this.#end === undefined) return
    else if ('error' in this.#end) reader.fail(this.#end.error)
    else reader.give({ done: true, value: undefined })
    this.#reader = undefined
  }

  /** Never rejects; the reader receives the error. */
  async #run(): Promise<void> {
    try {
      await this.#make()
      this.#end = {}
    } catch (error) {
      this.#end = { error }
    }
    this.#hand()
  }

  async #make(): Promise<void> {
    const made = new Date()
    await mkdir(this.#folder, { recursive: true, mode: 0o700 })
    const folder = await mkdtemp(join(this.#folder, 'pack-'))
    const collected = new Collected((bytes) => this.#write(bytes))
    const output = new ZipOutput((bytes) => collected.add(bytes), folder, made)
    try {
      await makePack(this.#ledger, output, {
        selection: this.#selection,
        signatures: verifyAuthor,
        made: made.toISOString(),
        program: `service-fs ${VERSION} serve`,
        recorded: this.#recorded,
        progress: () => this.#check(),
      })
      await output.end()
      await collected.flush()
    } finally {
      await output.close()
    }
  }

  /** @throws the error with which the work was stopped */
  #check(): void {
    if (this.#stopped !== undefined) throw this.#stopped
  }

  /** Resolves when the reader has taken the bytes. */
  async #write(bytes: Uint8Array): Promise<void> {
    for (let at = 0; at < bytes.length; at += PIECE) await this.#offer(bytes.subarray(at, at + PIECE))
  }

  async #offer(bytes: Uint8Array): Promise<void> {
    this.#check()
    await new Promise<void>((resolve, reject) => {
      const late = setTimeout(
        () => void this.stop(new Error(`the client read nothing for ${this.#patience} ms`)),
        this.#patience,
      )
      this.#piece = {
        bytes,
        taken() {
          clearTimeout(late)
          resolve()
        },
        failed(why) {
          clearTimeout(late)
          reject(why)
        },
      }
      this.#hand()
    })
  }
}
