/**
 * Accepts the duties that operators state, checks them against the duties in the log, and appends their entries.
 *
 * The identifier of an entry is DUTY_ID_PREFIX and a number from 1, so the record index finds all of them without a scan of the log.
 */
import { Duties } from '@service-fs/format/duties'
import {
  DUTY_FIELD,
  DUTY_ID_PREFIX,
  DUTY_TYPE,
  dutyIn,
  dutyPayload,
  isProblem,
  MAX_DUTY_BYTES,
  readDuty,
  RETAIN_FIELD,
  type Duty,
  type DutyProblem,
  type Extension,
  type Hold,
  type Lift,
  type Policy,
} from '@service-fs/format/duty'
import { fieldOf, parseEntry } from '@service-fs/format/entry'
import { hexEncode, type Codec } from '@service-fs/tlog/codec'
import type { Hasher } from '@service-fs/tlog/hash'
import { LedgerError } from './errors.ts'
import type { AppendResult, NewRecord } from './record.ts'

/** A duty in the form in which an operator states it. The ledger adds the members of an extension that describe its record. */
export type StatedDuty = Policy | Hold | Lift | Omit<Extension, 'index' | 'was'>

/**
 * The fact that the answer to an extension reveals: the index of its record's first entry, which is undefined if no record has the
 * identifier.
 */
export interface Revealed {
  readonly index: number | undefined
}

/**
 * The result of stating a duty. `problem` is the rule that the duty breaks; `failure` is the reason why its entry could not be appended.
 * Only the answer to an extension reveals whether a record exists.
 */
export type StatedResult = { reveals: Revealed | undefined } & (
  | { id: string; result: AppendResult }
  | { problem: DutyProblem }
  | { failure: unknown }
)

/** The members that the ledger adds to a statement. */
const ADDED: ReadonlySet<string> = new Set(['subject', 'request_id', 'index', 'was'])

interface Parts {
  readonly codec: Codec
  readonly hasher: Pick<Hasher, 'sha256'>
  /** Returns the first entry of the record with this identifier, and its index; undefined when there is none. */
  readonly find: (id: string) => Promise<{ index: number; entry: Uint8Array } | undefined>
  readonly append: (record: NewRecord) => Promise<AppendResult>
}

export class DutyBook {
  readonly #parts: Parts
  readonly #duties = new Duties()
  /** For each statement, the number of its duty entry. */
  readonly #numbers = new Map<string, number>()
  /** The number of the next duty entry. */
  #next = 1
  /** Resolves when the last duty was taken or refused. */
  #turn: Promise<unknown> = Promise.resolve()

  constructor(parts: Parts) {
    this.#parts = parts
  }

  /**
   * Appends the entry of a duty if the rules allow it. If an entry already states the same, returns that entry. Handles one duty at a time.
   * @throws LedgerError as Ledger.append(), unless the failure follows the look-up of an extension's record
   */
  state(stated: StatedDuty): Promise<StatedResult> {
    const done = this.#turn.then(() => this.#state(stated))
    this.#turn = done.catch(() => undefined)
    return done
  }

  async #state(stated: StatedDuty): Promise<StatedResult> {
    await this.#load()
    const duty = stated.duty === 'extend' ? await this.#extension(stated) : stated
    if ('field' in duty) return { problem: duty, reveals: { index: undefined } }
    const reveals = duty.duty === 'extend' ? { index: duty.index } : undefined
    try {
      const repeated = await this.#repeated(duty)
      if (repeated !== undefined) return { ...repeated, reveals }
      const problem = this.#problem(duty)
      if (problem !== undefined) return { problem, reveals }
      return { ...(await this.#append(duty)), reveals }
    } catch (failure) {
      if (reveals === undefined) throw failure
      return { failure, reveals }
    }
  }

  /** Returns the entry in force that already states the same duty; undefined if there is no such entry. */
  async #repeated(duty: Duty): Promise<{ id: string; result: AppendResult } | undefined> {
    const { codec, find, append } = this.#parts
    const number = this.#numbers.get(this.#statement(duty))
    if (number === undefined) return undefined
    // The answer to a hold states that the hold is in force, so a lifted hold does not count.
    if (duty.duty === 'hold' && !this.#duties.isHeld(duty.hold)) return undefined
    const id = DUTY_ID_PREFIX + String(number)
    const found = await find(id)
    if (found === undefined) return undefined
    const { header, payload } = parseEntry(found.entry, codec)
    return { id, result: await append({ id, type: header.type, fields: header.fields, payload }) }
  }

  /** Returns a text that is equal for two duties with equal statements, even if different subjects stated them. */
  #statement(duty: Duty): string {
    const { codec, hasher } = this.#parts
    const members = Object.entries(duty).filter(([name]) => !ADDED.has(name))
    const text = JSON.stringify(members.sort(([a], [b]) => (a < b ? -1 : 1)))
    return hexEncode(hasher.sha256(codec.utf8Encode(text)))
  }

  async #append(duty: Duty): Promise<{ id: string; result: AppendResult }> {
    const { codec, append } = this.#parts
    const payload = dutyPayload(duty, codec)
    if (payload.length > MAX_DUTY_BYTES)
      throw new LedgerError(
        'too-large',
        `expected a duty of at most ${MAX_DUTY_BYTES} bytes, found ${payload.length}`,
      )
    const id = DUTY_ID_PREFIX + String(this.#next)
    // If the append fails, the entry may be durable nevertheless. Then the next #load() finds it.
    const result = await append({ id, type: DUTY_TYPE, fields: [[DUTY_FIELD, duty.duty]], payload })
    // The entry is durable, so this method succeeds even if the load fails; its next call loads the entry.
    await this.#load().catch(() => undefined)
    return { id, result }
  }

  #problem(duty: Duty): DutyProblem | undefined {
    const read = readDuty(duty, this.#parts.codec)
    return isProblem(read) ? read : this.#duties.problem(duty)
  }

  /** Adds the members of an extension that describe its record. */
  async #extension(stated: Omit<Extension, 'index' | 'was'>): Promise<Extension | DutyProblem> {
    const { codec, find } = this.#parts
    const { payload_id: id } = stated
    const found = await find(id)
    if (found === undefined)
      return { field: 'payload_id', expected: 'the identifier of a record', found: JSON.stringify(id) }
    const was = this.#duties.extendedUntil(id) ?? fieldOf(parseEntry(found.entry, codec).header, RETAIN_FIELD)
    return { ...stated, index: found.index, ...(was === undefined ? {} : { was }) }
  }

  /** Reads the duty entries that were appended after the previous read. */
  async #load(): Promise<void> {
    const { codec, find } = this.#parts
    for (;;) {
      const found = await find(DUTY_ID_PREFIX + String(this.#next))
      if (found === undefined) return
      // A ledger of an older version may have a client's record with this identifier.
      const duty = dutyIn(parseEntry(found.entry, codec), codec)
      if (duty !== undefined && !isProblem(duty) && this.#duties.add(duty, found.index) === undefined)
        this.#numbers.set(this.#statement(duty), this.#next)
      this.#next += 1
    }
  }
}
