/** The storage capability over PSDB: every commit is a separate tail file. */
import { CheckedStorage, type StorageDriver } from '@service-fs/storage/checked'
import { StorageError, type StorageErrorCode } from '@service-fs/storage/errors'
import { labelOf, type ObjectName, type ReadableName, type SealedName } from '@service-fs/storage/object-name'
import type { PsdbAnswer, PsdbCall, PsdbClient } from './client.ts'
import { fieldName, getUint64, KIND, LEDGER, OPCODE, STATUS, type LedgerNumber } from './message.ts'

/** Bytes that the first request for an object reads: most objects need no second one. */
const FIRST_BYTES = 256 * 1024
/** Bytes that a later request reads: few enough not to delay other tenants for long. */
const PIECE_BYTES = 1024 * 1024
/** Bytes that the first request for the checkpoint reads. A checkpoint is read by one request. */
const CELL_BYTES = 4096
/** Bytes that one request reads of the list of tail starts. */
const STARTS_BYTES = 4096

/** The state of the storage server's disk. */
export interface PsdbStat {
  readonly sectors: number
  /** Sectors free. */
  readonly free: number
  /** Sealed bundles of this ledger, counted from the first up to the first that is missing. */
  readonly bundles: number
}

/** The storage of one ledger on the PSDB disk. */
export class PsdbStorage extends CheckedStorage {
  readonly #driver: PsdbDriver

  constructor(client: PsdbClient, ledger: LedgerNumber) {
    const driver = new PsdbDriver(client, ledger)
    super(driver)
    this.#driver = driver
  }

  /** Returns the state of the disk. Errors: `io`, `corrupt`. */
  stat(): Promise<PsdbStat> {
    return this.#driver.stat()
  }
}

/** Opens the storage of a tenant's ledger, or of its audit sub-ledger. Closing it leaves the client open. */
export function openPsdbStorage(client: PsdbClient, ledger: 'main' | 'audit'): PsdbStorage {
  return new PsdbStorage(client, ledger === 'main' ? LEDGER.MAIN : LEDGER.AUDIT)
}

/** The subject of an error. */
type What = ObjectName | 'tail' | 'disk'

const CHECKPOINT = { kind: 'checkpoint' } as const

class PsdbDriver implements StorageDriver {
  readonly tailMode = 'each'
  readonly #client: PsdbClient
  readonly #ledger: LedgerNumber

  constructor(client: PsdbClient, ledger: LedgerNumber) {
    this.#client = client
    this.#ledger = ledger
  }

  read(name: ReadableName, limit: number): Promise<Uint8Array | undefined> {
    return name.kind === 'checkpoint' ? this.#readCell(limit) : this.#readObject(name, limit)
  }

  async has(name: SealedName): Promise<boolean> {
    return (await this.#piece(name, 0, 0)) !== undefined
  }

  async seal(name: SealedName, bytes: Uint8Array): Promise<void> {
    await this.#ask(name, { opcode: OPCODE.SEAL, ...fieldsOf(name), bytes })
  }

  async tailStarts(): Promise<number[]> {
    const starts: number[] = []
    for (let index = 0; ;) {
      const room = Math.min(STARTS_BYTES, this.#client.maxBytes)
      const { value, bytes } = await this.#ask('tail', { opcode: OPCODE.TAIL, index, room })
      const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
      for (let at = 0; at + 8 <= bytes.length; at += 8) {
        const start = getUint64(view, at)
        if (start < index || !Number.isSafeInteger(start))
          throw unexpected('tail', `a first entry from ${index} on`, `${start}`)
        starts.push(start)
        index = start + 1
      }
      if (value * 8 === bytes.length) return starts
      if (value * 8 < bytes.length || bytes.length === 0)
        throw unexpected('tail', `first entries of ${value} files`, `${bytes.length} bytes`)
    }
  }

  async readTail(start: number, limit: number): Promise<Uint8Array> {
    const name = { kind: 'tail', start } as const
    const bytes = await this.#readObject(name, limit)
    if (bytes === undefined) throw new StorageError('no-tail', `${labelOf(name)}: no longer exists`)
    return bytes
  }

  async append(start: number): Promise<void> {
    const label = labelOf({ kind: 'tail', start })
    throw new StorageError('no-tail', `${label}: expected beginTail(), as every commit is a tail file`)
  }

  async beginTail(start: number, size: number, bytes: Uint8Array): Promise<void> {
    await this.#ask({ kind: 'tail', start }, { opcode: OPCODE.COMMIT, index: start, size, bytes })
  }

  async publish(checkpoint: Uint8Array): Promise<void> {
    await this.#ask(CHECKPOINT, { opcode: OPCODE.PUBLISH, bytes: checkpoint })
  }

  async close(): Promise<void> {}

  async stat(): Promise<PsdbStat> {
    const { value, extra, index } = await this.#ask('disk', { opcode: OPCODE.STAT })
    return { sectors: value, free: extra, bundles: index }
  }

  /** Reads the checkpoint by one request: it may be replaced between two. */
  async #readCell(limit: number): Promise<Uint8Array | undefined> {
    for (let room = Math.min(CELL_BYTES, this.#client.maxBytes); ;) {
      const found = await this.#piece(CHECKPOINT, 0, room)
      if (found === undefined) return undefined
      checkLength(CHECKPOINT, found.value, limit)
      if (found.value <= room) return found.bytes
      room = found.value
    }
  }

  async #readObject(name: ObjectName, limit: number): Promise<Uint8Array | undefined> {
    const first = await this.#piece(name, 0, Math.min(FIRST_BYTES, limit, this.#client.maxBytes))
    if (first === undefined) return undefined
    const length = first.value
    checkLength(name, length, limit)
    if (first.bytes.length === length) return first.bytes
    const whole = new Uint8Array(length)
    whole.set(first.bytes)
    for (let at = first.bytes.length; at < length;) {
      const room = Math.min(PIECE_BYTES, length - at, this.#client.maxBytes)
      const piece = await this.#piece(name, at, room)
      if (piece?.value !== length) throw unexpected(name, `${length} bytes`, `${piece?.value ?? 'none'}`)
      whole.set(piece.bytes, at)
      at += piece.bytes.length
    }
    return whole
  }

  /** Returns at most `room` bytes of an object from `at` on; undefined when there is no such object. */
  async #piece(name: ObjectName, at: number, room: number): Promise<PsdbAnswer | undefined> {
    const call = { opcode: OPCODE.READ, ledger: this.#ledger, ...fieldsOf(name), at, room }
    const answer = await this.#client.request(call)
    if (answer.status === STATUS.NONE) return undefined
    if (answer.status !== STATUS.OK) throw refused(name, answer)
    const expected = Math.min(room, Math.max(0, answer.value - at))
    const found = answer.bytes.length
    if (found !== expected) throw unexpected(name, `${expected} bytes from byte ${at} on`, `${found}`)
    return answer
  }

  async #ask(what: What, call: Omit<PsdbCall, 'ledger'>): Promise<PsdbAnswer> {
    const answer = await this.#client.request({ ...call, ledger: this.#ledger })
    if (answer.status !== STATUS.OK) throw refused(what, answer)
    return answer
  }
}

/** The index of verify.sh among the objects of its kind; that of README.txt is 0. */
const VERIFIER_INDEX = 1

const KINDS = {
  readme: KIND.README,
  verifier: KIND.README,
  origin: KIND.ORIGIN,
  vkey: KIND.VKEY,
  tile: KIND.TILE,
  bundle: KIND.BUNDLE,
  tail: KIND.TAIL_FILE,
  checkpoint: KIND.CHECKPOINT,
} as const

/** Returns the fields of a request that name the object. */
function fieldsOf(name: ObjectName): Pick<PsdbCall, 'kind' | 'level' | 'index' | 'name'> {
  if (name.kind === 'tail') return { kind: KINDS.tail, index: name.start }
  if (name.kind === 'verifier') return { kind: KINDS.verifier, index: VERIFIER_INDEX }
  return { ...name, kind: KINDS[name.kind] }
}

function checkLength(name: ObjectName, length: number, limit: number): void {
  if (length > limit)
    throw new StorageError('corrupt', `${labelOf(name)}: expected at most ${limit} bytes, found ${length}`)
}

function unexpected(what: What, expected: string, found: string): StorageError {
  return new StorageError(
    'io',
    `${labelOf(what)}: expected ${expected} from the storage server, found ${found}`,
  )
}

/** The error for each status but OK. */
const ERRORS: Readonly<Record<number, readonly [StorageErrorCode, string]>> = {
  [STATUS.CONFLICT]: [
    'conflict',
    'it exists with other bytes, or the newest tail file begins there or later',
  ],
  [STATUS.FULL]: ['full', 'the disk or a table of the storage server is full'],
  [STATUS.CORRUPT]: ['corrupt', 'stored data is corrupt'],
  [STATUS.INVALID]: ['io', 'the storage server rejected the field '],
  [STATUS.NONE]: ['io', 'the storage server has no such object'],
  [STATUS.IO]: ['io', 'the disk of the storage server failed'],
}

/** Returns the error for a response whose status is not OK. The client has rejected every status that STATUS lacks. */
function refused(what: What, { status, field }: PsdbAnswer): StorageError {
  const [code, text] = ERRORS[status] as (typeof ERRORS)[number]
  return new StorageError(
    code,
    `${labelOf(what)}: ${text}${status === STATUS.INVALID ? fieldName(field) : ''}`,
  )
}
