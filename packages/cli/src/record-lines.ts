/**
 * Reads records from NDJSON on a stream: each line has a record in the form of `POST /v1/append` (docs/wire.md), but `payload_id` is
 * optional.
 */
import { RETAIN_FIELD } from '@service-fs/format/duty'
import { Batcher, type AppendLimits, type NewRecord } from '@service-fs/client/append'
import { idProblem } from '@service-fs/format/entry'
import { nativeCodec, sha256Hex } from '@service-fs/native/native'
import { recordIn, type Reading } from '@service-fs/wire/json-records'
import { DEFAULT_LIMITS } from '@service-fs/wire/limits'
import { Problem } from '@service-fs/wire/problem'

export interface LinesOptions {
  limits: AppendLimits
  /** A prefix for every id. */
  prefix?: string | undefined
  /** Called for each line without a valid record, with the name of the line and the reason. */
  refused(name: string, reason: string): void
}

/** The number of milliseconds without input after which a batch is sent although it has room. */
const FLUSH = 100
/** The number of bytes that a line may have besides a payload in base64: identifier and type with escapes, names, punctuation. */
const SLACK = 4096
const LINE_FEED = 0x0a

/** Yields the records in batches within the limits. A batch ends early when no input arrives. */
export async function* lineBatches(
  input: AsyncIterable<Uint8Array>,
  options: LinesOptions,
): AsyncGenerator<NewRecord[]> {
  const reader = new LineReader(options)
  const chunks = input[Symbol.asyncIterator]()
  for (;;) {
    const next = chunks.next()
    if (!reader.batcher.isEmpty && !(await arrives(next))) yield reader.batcher.take()
    const { done, value } = await next
    if (done === true) break
    yield* reader.read(value)
  }
  yield* reader.read(undefined)
  if (!reader.batcher.isEmpty) yield reader.batcher.take()
}

/** Reports whether a promise settles within FLUSH milliseconds. */
async function arrives(promise: Promise<unknown>): Promise<boolean> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<boolean>((resolve) => (timer = setTimeout(() => resolve(false), FLUSH)))
  const came = promise.then(
    () => true,
    () => true,
  )
  try {
    return await Promise.race([came, late])
  } finally {
    clearTimeout(timer)
  }
}

/** A line, without its line feed. */
interface Line {
  bytes: Uint8Array
  start: number
  end: number
}

/** Splits chunks into lines. */
class LineSplitter {
  readonly #longest: number
  /** The pieces of the line whose end has not arrived; undefined while a line that is too long is skipped. */
  #rest: Uint8Array[] | undefined = []
  #restBytes = 0

  constructor(longest: number) {
    this.#longest = longest
  }

  /** Yields the lines that end in a chunk; undefined for a line that is too long. */
  *lines(chunk: Uint8Array): Generator<Line | undefined> {
    let start = 0
    if (this.#restBytes > 0) {
      const end = chunk.indexOf(LINE_FEED)
      this.#keep(end < 0 ? chunk : chunk.subarray(0, end))
      if (end < 0) return
      yield this.#takeRest()
      start = end + 1
    }
    const stop = chunk.lastIndexOf(LINE_FEED) + 1
    while (start < stop) {
      const end = chunk.indexOf(LINE_FEED, start)
      yield { bytes: chunk, start, end }
      start = end + 1
    }
    if (start < chunk.length) this.#keep(chunk.subarray(start))
  }

  /** Yields the last line if it does not end in a line feed. */
  *last(): Generator<Line | undefined> {
    if (this.#restBytes > 0) yield this.#takeRest()
  }

  #keep(piece: Uint8Array): void {
    this.#restBytes += piece.length
    if (this.#restBytes > this.#longest) this.#rest = undefined
    else this.#rest?.push(piece)
  }

  #takeRest(): Line | undefined {
    const bytes = this.#rest === undefined ? undefined : Buffer.concat(this.#rest)
    this.#rest = []
    this.#restBytes = 0
    return bytes && { bytes, start: 0, end: bytes.length }
  }
}

/** Reads lines as records, and collects them in batches. */
class LineReader {
  readonly #options: LinesOptions
  readonly #reading: Reading
  readonly #longest: number
  readonly #splitter: LineSplitter
  readonly batcher: Batcher
  #line = 0

  constructor(options: LinesOptions) {
    const { payload } = options.limits
    this.#options = options
    this.batcher = new Batcher(options.limits)
    this.#longest = Math.ceil(payload / 3) * 4 + SLACK
    this.#splitter = new LineSplitter(this.#longest)
    this.#reading = {
      limits: { ...DEFAULT_LIMITS, maxPayload: payload },
      codec: nativeCodec,
      scansBytes: true,
      idFor: (type, bytes) => this.#idFor(type, bytes),
    }
  }

  /** Reads a chunk; `chunk` is undefined at the end of the input. Yields each full batch. */
  *read(chunk: Uint8Array | undefined): Generator<NewRecord[]> {
    const lines = chunk === undefined ? this.#splitter.last() : this.#splitter.lines(chunk)
    for (const line of lines) {
      this.#line += 1
      const record = this.#record(line)
      if ('reason' in record) {
        this.#options.refused(`line ${this.#line}`, record.reason)
        continue
      }
      const full = this.batcher.add(record)
      if (full !== undefined) yield full
    }
  }

  #record(line: Line | undefined): NewRecord | { reason: string } {
    if (line === undefined) return { reason: `expected at most ${this.#longest} bytes, found more` }
    const { bytes, start, end } = line
    const { prefix = '' } = this.#options
    try {
      const { fields, ...read } = recordIn(bytes, start, end, this.#reading)
      const retainUntil = fields?.find(([name]) => name === RETAIN_FIELD)?.[1]
      const record = retainUntil === undefined ? read : { ...read, retainUntil }
      if (prefix === '') return record
      const id = prefix + record.id
      const problem = idProblem(id, nativeCodec)
      return problem === undefined ? { ...record, id } : { reason: `payload_id with the prefix: ${problem}` }
    } catch (error) {
      if (!(error instanceof Problem)) throw error
      return { reason: error.message }
    }
  }

  /**
   * Returns an id for a record without an id. The same line of the same input always has the same id, so a repeated run appends nothing
   * twice.
   */
  #idFor(type: string, payload: Uint8Array): string {
    const digest = sha256Hex(Buffer.concat([Buffer.from(`${type}\n`), payload]))
    return `${this.#line}-${digest.slice(0, 32)}`
  }
}
