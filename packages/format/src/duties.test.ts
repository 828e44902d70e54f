import { nativeCodec, sha256Hex } from '@service-fs/native/native'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { QUICK } from '../../../test/support/quick.ts'
import { CLOCK_TYPE } from './clock-correction.ts'
import { Duties, type KeptRecord } from './duties.ts'
import {
  DUTY_FIELD,
  DUTY_ID_PREFIX,
  DUTY_TYPE,
  dutyIn,
  dutyPayload,
  isProblem,
  RETAIN_FIELD,
  timeAfter,
  type Duty,
} from './duty.ts'
import { entriesOf, fieldOf, parseEntry, type Entry, type RecordContent } from './entry.ts'
import { DutyModel, type ModelScope, type ModelStep } from './testing-duty-model.ts'

const STATED = { reason: 'r', request_id: 'q', subject: 's' }
const TYPES = ['text/plain', 'application/json']
const IDS = ['a', 'a/1', 'a/2', 'b/1', 'b/2', 'ß/1', DUTY_ID_PREFIX + '2']
const START = Date.UTC(2096, 1, 27, 23, 0)

type Event =
  | ModelStep
  | { append: string; type: string; retainUntil?: string | undefined }
  | { clock: number }

const times = fc.oneof(
  fc.constantFrom('0000-02-29T00:00:00.000Z', '2096-02-29T12:00:00.000Z', '9999-12-31T23:59:59.999Z'),
  fc.integer({ min: START - 1e10, max: START + 1e12 }).map((ms) => new Date(ms).toISOString()),
)
const wide: fc.Arbitrary<ModelScope> = fc.oneof(
  fc.constant({ all: true as const }),
  fc.record({ type: fc.constantFrom(...TYPES) }),
  fc.record({ prefix: fc.constantFrom('a', 'a/', 'b/1', 'ß', 'vnd.') }),
  fc.record({ type: fc.constantFrom(...TYPES), prefix: fc.constantFrom('a', 'b/') }),
)
const ids = fc.constantFrom(...IDS)
const hold = fc.constantFrom('case-1', 'case-2', 'case-3')
const span = fc.oneof(
  fc.record({ years: fc.oneof(fc.integer({ min: 1, max: 9 }), fc.constantFrom(7_903, 999_999)) }),
  fc.record({ days: fc.oneof(fc.integer({ min: 1, max: 900 }), fc.constant(3_000)) }),
  fc.record({ until: times }),
)
const steps: fc.Arbitrary<Event> = fc.oneof(
  fc.record({
    append: ids,
    type: fc.constantFrom(...TYPES),
    retainUntil: fc.option(times, { nil: undefined }),
  }),
  fc.tuple(wide, span).map(([scope, at]) => ({ duty: 'policy' as const, scope, ...at })),
  fc.record({
    duty: fc.constant('hold' as const),
    hold,
    scope: fc.oneof(wide, fc.record({ payload_id: ids })),
  }),
  fc.record({ duty: fc.constant('lift' as const), hold }),
  fc.record({ duty: fc.constant('extend' as const), id: ids, until: times }),
  // The clock moves back and forth, across February 29 and far beyond the retention of most records.
  fc.record({ clock: fc.oneof(fc.integer({ min: -1e8, max: 1e8 }), fc.integer({ min: -4e11, max: 4e11 })) }),
)

/** A log that, like a ledger, accepts an entry only if the fold accepts it. It keeps only the bytes of entries. */
class Log {
  readonly duties = new Duties()
  readonly entries: Uint8Array[] = []
  #now = START
  #duties = 0

  get now(): string {
    return new Date(this.#now).toISOString()
  }

  step(ms: number): void {
    const back = ms < 0
    this.#now += ms
    if (back) this.append({ id: `clock-${this.entries.length}`, type: CLOCK_TYPE, payload: new Uint8Array() })
  }

  append(content: Omit<RecordContent, 'time'>): Entry {
    const [bytes] = entriesOf({ ...content, time: this.now }, sha256Hex) as [Uint8Array]
    this.entries.push(bytes)
    return parseEntry(bytes)
  }

  /** Appends the entry of a duty if the rules allow it. */
  state(duty: Duty): boolean {
    if (this.duties.problem(duty) !== undefined) return false
    const entry = this.append({
      id: `${DUTY_ID_PREFIX}${++this.#duties}`,
      type: DUTY_TYPE,
      fields: [[DUTY_FIELD, duty.duty]],
      payload: dutyPayload(duty, nativeCodec),
    })
    const read = dutyIn(entry, nativeCodec)
    expect(read).toEqual(duty)
    expect(this.duties.add(read as Duty, this.entries.length - 1)).toBeUndefined()
    return true
  }
}

function keptRecord(entry: Entry): KeptRecord {
  const { id, type, time } = entry.header
  return { id, type, time, retainUntil: fieldOf(entry.header, RETAIN_FIELD) }
}

/** Returns the duty of a step; undefined when it extends a record that does not exist. */
function dutyOf(step: ModelStep, log: Log, records: readonly KeptRecord[]): Duty | undefined {
  if (step.duty === 'policy') {
    const { scope, years, days, until } = step
    const period = years === undefined ? `P${days}D` : `P${years}Y`
    return { duty: 'policy', ...scope, ...(until === undefined ? { for: period } : { until }), ...STATED }
  }
  if (step.duty === 'hold') return { duty: 'hold', hold: step.hold, ...step.scope, ...STATED }
  if (step.duty === 'lift') return { duty: 'lift', hold: step.hold, ...STATED }
  const record = records.find((one) => one.id === step.id)
  if (record === undefined) return undefined
  const was = log.duties.extendedUntil(step.id) ?? record.retainUntil
  return {
    duty: 'extend',
    payload_id: step.id,
    index: 0,
    until: step.until,
    ...(was === undefined ? {} : { was }),
    ...STATED,
  }
}

function append(event: Extract<Event, { append: string }>, log: Log): KeptRecord {
  const { append: id, type, retainUntil } = event
  const fields = retainUntil === undefined ? [] : ([[RETAIN_FIELD, retainUntil]] as const)
  return keptRecord(log.append({ id, type, fields, payload: new Uint8Array() }))
}

describe('the fold of duties', () => {
  it('the fold of duties agrees with the model after every step of a history, and never shortens a duty', () => {
    let taken = 0
    let refused = 0
    const check = (events: readonly Event[]): void => {
      const log = new Log()
      const model = new DutyModel()
      const records: KeptRecord[] = []
      let before: { until: string; holds: string[] }[] = []
      for (const event of events) {
        if ('clock' in event) log.step(event.clock)
        else if ('append' in event) {
          if (records.some(({ id }) => id === event.append)) continue
          records.push(append(event, log))
          model.records.push(records.at(-1) as KeptRecord)
        } else {
          const duty = dutyOf(event, log, records)
          const isTaken = duty !== undefined && log.state(duty)
          expect(isTaken).toBe(model.take(event))
          if (isTaken) taken += 1
          else refused += 1
        }
        const now = records.map((record) => log.duties.of(record))
        expect(now.map(({ until, holds }) => ({ until, holds }))).toEqual(
          model.records.map((record) => model.of(record)),
        )
        const lifted = 'duty' in event && event.duty === 'lift' ? event.hold : undefined
        for (const [i, { until, holds }] of before.entries()) {
          expect((now[i]?.until ?? '') >= until).toBe(true)
          expect(now[i]?.holds).toEqual(expect.arrayContaining(holds.filter((name) => name !== lifted)))
        }
        before = now.map(({ until = '', holds }) => ({ until, holds }))
      }
      // Reading the bytes of the log again yields the same duties.
      const again = new Duties()
      for (const [index, bytes] of log.entries.entries()) {
        const duty = dutyIn(parseEntry(bytes), nativeCodec)
        if (duty !== undefined && !isProblem(duty)) expect(again.add(duty, index)).toBeUndefined()
      }
      for (const record of records) expect(again.of(record)).toEqual(log.duties.of(record))
    }
    const numRuns = QUICK ? 3_000 : 10_000
    fc.assert(fc.property(fc.array(steps, { maxLength: 40 }), check), { numRuns })
    // The histories contain both accepted and refused steps.
    expect(Math.min(taken, refused)).toBeGreaterThan(numRuns)
  })

  it('the fold of duties ignores an entry that breaks a rule, and reports the field that breaks it', () => {
    const duties = new Duties()
    const policy = { duty: 'policy', all: true, ...STATED } as const
    expect(duties.add({ ...policy, for: 'P6Y' }, 0)).toBeUndefined()
    expect(duties.add({ ...policy, for: 'P5Y' }, 1)).toEqual({
      field: 'for',
      expected: 'a period longer than P6Y, which the policy has',
      found: 'P5Y',
    })
    expect(duties.add({ duty: 'lift', hold: 'case-1', ...STATED }, 2)).toMatchObject({
      field: 'hold',
      found: 'case-1, which was never put',
    })
    const record = { id: 'a', type: 'text/plain', time: '2026-11-22T18:43:00.000Z' }
    expect(duties.of(record)).toEqual({ until: '2032-11-22T18:43:00.000Z', by: 'policy', holds: [] })
  })

  it('the fold of duties rejects an extension whose `was` is not the time of the previous extension', () => {
    const duties = new Duties()
    const extend = { duty: 'extend', payload_id: 'a', index: 0, ...STATED } as const
    const [y2030, y2031, y2032] = [2030, 2031, 2032].map((year) => `${year}-01-01T00:00:00.000Z`) as [
      string,
      string,
      string,
    ]
    expect(duties.add({ ...extend, until: y2031, was: y2030 }, 1)).toBeUndefined()
    expect(duties.problem({ ...extend, until: y2032, was: y2030 })?.field).toBe('was')
    expect(duties.problem({ ...extend, until: y2032 })?.field).toBe('was')
    expect(duties.problem({ ...extend, until: y2031, was: y2031 })?.field).toBe('until')
    expect(duties.problem({ ...extend, until: y2032, was: y2031 })).toBeUndefined()
  })
})

describe('the time after a period', () => {
  // One year after February 29 is March 1. The method plusYears of java.time.LocalDate returns February 28 instead.
  it.each([
    ['2024-02-29T01:02:03.004Z', 1, 'Y', '2025-03-01T01:02:03.004Z'],
    ['2024-02-29T01:02:03.004Z', 4, 'Y', '2028-02-29T01:02:03.004Z'],
    ['2024-02-28T00:00:00.000Z', 2, 'D', '2024-03-01T00:00:00.000Z'],
    ['9999-12-31T00:00:00.000Z', 1, 'D', '9999-12-31T23:59:59.999Z'],
    ['2026-01-01T00:00:00.000Z', 999_999, 'Y', '9999-12-31T23:59:59.999Z'],
  ] as const)('from %s after %i %s is %s', (from, count, unit, to) => {
    expect(timeAfter(from, count, unit)).toBe(to)
  })
})

function madeEntry(type: string, kind: string | undefined, text: string): Entry {
  const fields = kind === undefined ? [] : ([[DUTY_FIELD, kind]] as const)
  const payload = nativeCodec.utf8Encode(text)
  const time = '2026-11-22T18:43:00.000Z'
  return parseEntry(entriesOf({ id: 'x', type, time, fields, payload }, sha256Hex)[0] as Uint8Array)
}

describe('a duty entry', () => {
  const stated = ',"reason":"r","request_id":"q","subject":"s"}'

  it('a duty entry needs both the type and the header field', () => {
    const text = '{"duty":"hold","hold":"c","all":true' + stated
    expect(dutyIn(madeEntry('application/json', 'hold', text), nativeCodec)).toBeUndefined()
    expect(dutyIn(madeEntry(DUTY_TYPE, undefined, text), nativeCodec)).toBeUndefined()
    expect(dutyIn(madeEntry(DUTY_TYPE, 'hold', text), nativeCodec)).toMatchObject({ hold: 'c', all: true })
  })

  it.each([
    ['hold', '{', 'payload'],
    ['hold', '[]', 'body'],
    ['hold', 'null', 'body'],
    ['lift', '{"duty":"hold","hold":"c","all":true' + stated, 'duty'],
    ['other', '{"duty":"other"' + stated, 'duty'],
    ['hold', '{"duty":"hold","hold":"c"' + stated, 'all'],
    ['hold', '{"duty":"hold","hold":"c","all":true,"type":"a/b"' + stated, 'all'],
    ['hold', '{"duty":"hold","hold":"c","all":false' + stated, 'all'],
    ['hold', '{"duty":"hold","hold":"a b","all":true' + stated, 'hold'],
    ['hold', '{"duty":"hold","hold":"c","all":true,"more":1' + stated, 'more'],
    ['hold', '{"duty":"hold","hold":"c","all":true,"reason":" ","request_id":"q","subject":"s"}', 'reason'],
    ['policy', '{"duty":"policy","all":true' + stated, 'for'],
    ['policy', '{"duty":"policy","all":true,"for":"P1Y","until":"2030-01-01T00:00:00.000Z"' + stated, 'for'],
    ['policy', '{"duty":"policy","all":true,"for":"P0Y"' + stated, 'for'],
    ['policy', '{"duty":"policy","all":true,"for":"P1M"' + stated, 'for'],
    ['policy', '{"duty":"policy","all":true,"until":"2030-02-30T00:00:00.000Z"' + stated, 'until'],
    ['policy', '{"duty":"policy","payload_id":"a","for":"P1Y"' + stated, 'payload_id'],
    ['extend', '{"duty":"extend","payload_id":"a","until":"2030-01-01T00:00:00.000Z"' + stated, 'index'],
    ['lift', '{"duty":"lift"' + stated, 'hold'],
  ])('a duty of kind %s rejects %s, and names %s', (kind, text, field) => {
    expect(dutyIn(madeEntry(DUTY_TYPE, kind, text), nativeCodec)).toMatchObject({ field })
  })

  it('rejects a split record', () => {
    const text = '{"duty":"hold","hold":"c","all":true,"more":"' + 'x'.repeat(70_000) + '"' + stated
    expect(dutyIn(madeEntry(DUTY_TYPE, 'hold', text), nativeCodec)).toMatchObject({ field: 'parts' })
  })
})
