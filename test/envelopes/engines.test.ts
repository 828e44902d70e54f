// Tests the operations, besides numbers, that the core delegates to the engine: V8 and QuickJS agree with each other and with the
// specifications.

import { join } from 'node:path'
import { beforeAll, describe, expect, it } from 'vitest'
import { Random } from '@service-fs/storage/random'
import { Engine } from '@service-fs/engine-host/engine'
import { repoRoot } from '../support/root.ts'
import { ASKED } from './engines-script.ts'
import { ENGINE, nothing, script } from './quickjs.ts'

const SEED = Number(process.env['SEED'] ?? 1)
const random = new Random(SEED)
const below = (n: number): number => random.below(n)

let engine: Engine
let said = ''
beforeAll(async () => {
  engine = await Engine.create(ENGINE)
  engine.define('host', { said: nothing((given) => (said = given.text(0))) })
  engine.evaluate(await script(join(repoRoot, 'test/envelopes/engines-script.ts')), 'engines.js')
  engine.bind('serviceFs')
})

/** Checks that both engines give the same answer, and returns it. */
function ask(what: string, given: unknown): any {
  engine.call('ask', what, JSON.stringify(given))
  const here = JSON.stringify(ASKED[what]?.(given))
  expect(said === here, `${what}: QuickJS and V8 differ`).toBe(true)
  return JSON.parse(here)
}

const CODE_POINTS = Array.from({ length: 0x11_0000 }, (_, i) => i).filter(
  (point) => point < 0x1_0000 || point % 97 === 0,
)
const utf16 = (text: string): number[] => Array.from({ length: text.length }, (_, i) => text.charCodeAt(i))
const units = (point: number): number[] => utf16(String.fromCodePoint(point))
const isControl = (point: number): boolean => point < 0x20 || (point >= 0x7f && point <= 0x9f)
const bigEndian = (text: string): Buffer => Buffer.from(text, 'utf16le').swap16()
const isSurrogate = (point: number): boolean => point >= 0xd800 && point <= 0xdfff

/** Days since 1970-01-01 as year, month, day: Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms", civil_from_days. */
function civil(days: number): [year: number, month: number, day: number] {
  const shifted = days + 719_468
  const era = Math.floor(shifted / 146_097)
  const ofEra = shifted - era * 146_097
  const yearOfEra = Math.floor(
    (ofEra - Math.floor(ofEra / 1460) + Math.floor(ofEra / 36_524) - Math.floor(ofEra / 146_096)) / 365,
  )
  const ofYear = ofEra - (365 * yearOfEra + Math.floor(yearOfEra / 4) - Math.floor(yearOfEra / 100))
  const shiftedMonth = Math.floor((5 * ofYear + 2) / 153)
  const day = ofYear - Math.floor((153 * shiftedMonth + 2) / 5) + 1
  const month = shiftedMonth < 10 ? shiftedMonth + 3 : shiftedMonth - 9
  return [yearOfEra + era * 400 + (month <= 2 ? 1 : 0), month, day]
}

const two = (value: number): string => String(value).padStart(2, '0')
const DAY = 86_400_000
const WEEKDAYS = ['Thu', 'Fri', 'Sat', 'Sun', 'Mon', 'Tue', 'Wed']
const MONTHS = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec']

/** RFC 3339 with milliseconds, and IMF-fixdate (RFC 9110 §5.6.7), of a time in milliseconds. */
function written(ms: number): [rfc3339: string, imf: string] {
  const days = Math.floor(ms / DAY)
  const [year, month, day] = civil(days)
  const rest = ms - days * DAY
  const clock = [3_600_000, 60_000, 1000].map((unit, i) => two(Math.floor(rest / unit) % (i === 0 ? 24 : 60)))
  const fullYear = String(year).padStart(4, '0')
  return [
    `${fullYear}-${two(month)}-${two(day)}T${clock.join(':')}.${String(rest % 1000).padStart(3, '0')}Z`,
    `${WEEKDAYS[days % 7]}, ${two(day)} ${MONTHS[month - 1]} ${fullYear} ${clock.join(':')} GMT`,
  ]
}

describe(`the operations that the core delegates to the engine, seed ${SEED}`, () => {
  it('orders names by UTF-16 code units (RFC 8785 §3.2.3)', () => {
    for (let round = 0; round < 50; round++) {
      const names = new Set<string>([
        '',
        '0',
        '10',
        '9',
        '4294967294',
        '4294967295',
        '__proto__',
        'é',
        'e\u0301',
      ])
      while (names.size < 200) {
        const length = 1 + below(3)
        const points = Array.from({ length }, () => below(below(2) === 0 ? 0x250 : 0x11_0000))
        if (!points.some(isSurrogate)) names.add(String.fromCodePoint(...points))
      }
      const expected = [...names].sort((a, b) => Buffer.compare(bigEndian(a), bigEndian(b)))
      expect(ask('names', [...names]).map((name: string) => JSON.parse(name))).toEqual(expected)
    }
  })

  it('escapes exactly the characters of RFC 8785 §3.2.2.2', () => {
    const short: Record<number, string> = { 8: 'b', 9: 't', 10: 'n', 12: 'f', 13: 'r', 0x22: '"', 0x5c: '\\' }
    const expected = CODE_POINTS.map((point) => {
      if (isSurrogate(point)) return 'refused'
      if (short[point] !== undefined) return `"\\${short[point]}"`
      return point < 0x20
        ? `"\\u00${point.toString(16).padStart(2, '0')}"`
        : `"${String.fromCodePoint(point)}"`
    })
    const found: string[] = ask('strings', CODE_POINTS.map(units))
    expect(found.findIndex((text, i) => text !== expected[i])).toBe(-1)
  })

  it('accepts identifiers and types without control characters and surrogates', () => {
    const found: boolean[][] = ask('texts', CODE_POINTS.map(units))
    const wrong = CODE_POINTS.filter((point, i) => {
      const expected = !isControl(point) && !isSurrogate(point)
      return found[i]?.some((taken) => taken !== expected)
    })
    expect(wrong).toEqual([])
  })

  it('writes times from 1970 to 9999 by the calendar, and reads no others', () => {
    const times = Array.from({ length: 20_000 }, () => below(2 ** 31) * 118 * 1000 + below(1000))
    for (const year of [1970, 1972, 1999, 2000, 2026, 2038, 2100, 2400, 9999])
      for (const edge of [
        Date.UTC(year, 0, 1),
        Date.UTC(year, 1, 28),
        Date.UTC(year, 1, 29),
        Date.UTC(year, 11, 31),
      ])
        times.push(edge, edge + DAY - 1)
    const within = times.filter((ms) => ms < 253_402_300_800_000)
    expect(ask('times', within)).toEqual(within.map(written))
    const texts = within.map((ms) => written(ms)[0])
    expect(ask('entryTimes', texts).every((taken: boolean) => taken)).toBe(true)
    const bad = [
      '2026-02-29',
      '2026-02-30',
      '2026-04-31',
      '2026-13-01',
      '2026-00-10',
      '2026-01-00',
      '2026-01-32',
      '1900-02-29',
    ].map((day) => `${day}T00:00:00.000Z`)
    bad.push(
      ...['24:00:00.000', '23:60:00.000', '23:59:60.000', '23:59:59.99', '23:59:59', '23:59:59,999'].map(
        (at) => `2026-01-01T${at}Z`,
      ),
    )
    bad.push(
      '2026-01-01T00:00:00.000+00:00',
      '2026-01-01 00:00:00.000Z',
      '+002026-01-01T00:00:00.000Z',
      '2026-1-1T0:0:0.000Z',
      '2026-01-01t00:00:00.000z',
      ' 2026-01-01T00:00:00.000Z',
      '٢٠٢٦-01-01T00:00:00.000Z',
    )
    expect(ask('entryTimes', bad).filter((taken: boolean) => taken)).toEqual([])
  })

  it('decodes percent-encoded UTF-8 strictly (RFC 3629)', () => {
    const bytes: number[][] = []
    for (let a = 0; a < 256; a++) for (let b = 0; b < 256; b++) bytes.push([a, b])
    for (let i = 0; i < 40_000; i++)
      bytes.push(
        Array.from({ length: 3 + below(2) }, (_, at) => (at === 0 ? 0xc0 + below(64) : 0x70 + below(0x60))),
      )
    const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })
    const expected = bytes.map((given) => {
      try {
        return decoder.decode(Uint8Array.from(given))
      } catch {
        return 'refused'
      }
    })
    const texts = bytes.map((given) => given.map((byte) => `%${two16(byte)}`).join(''))
    const found: string[] = ask('percent', texts)
    expect(found.findIndex((text, i) => text !== expected[i])).toBe(-1)
    expect(ask('percent', ['%', '%1', '%zz', 'a%2', '%e9', '%25'])).toEqual([
      ...Array.from({ length: 5 }, () => 'refused'),
      '%',
    ])
  })

  it('maps no other character of a header to an ASCII letter', () => {
    const all = Array.from({ length: 256 }, (_, i) => String.fromCharCode(i)).filter((one) => one !== ';')
    const found: string[] = ask(
      'mediaTypes',
      all.map((one) => `x${one}x`),
    )
    for (const [i, one] of all.entries()) {
      const unit = one.charCodeAt(0)
      const folded = found[i]?.charCodeAt(1) ?? 0
      if (unit > 0x7f) expect(folded).toBeGreaterThan(0x7f)
      else expect(folded).toBe(unit >= 0x41 && unit <= 0x5a ? unit + 32 : unit)
    }
  })
})

function two16(byte: number): string {
  return byte.toString(16).padStart(2, '0')
}
