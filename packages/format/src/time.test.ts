import fc from 'fast-check'
import { expect, it } from 'vitest'
import { QUICK } from '../../../test/support/quick.ts'
import { isTime, timeRank } from './time.ts'

/** Date accepts exactly the days that exist: it reads 30 February as 1 or 2 March, and prints that date instead. */
function isTimeOfDate(text: string): boolean {
  if (!/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/.test(text)) return false
  const ms = Date.parse(text)
  return !Number.isNaN(ms) && new Date(ms).toISOString() === text
}

const encoder = new TextEncoder()

function rank(text: string): number {
  return timeRank(encoder.encode(text), 0)
}

const DAY = 86_400_000
/** `npm test` tries each day of the year in some year. */
const STEP = (QUICK ? 17 : 1) * DAY

it('isTime accepts every day from 1970 to 9999, and timeRank orders the days', () => {
  let last = -STEP
  let wrong = ''
  for (let ms = 0; ms < Date.UTC(10_000, 0); ms += STEP) {
    const first = new Date(ms).toISOString()
    const found = rank(first.slice(0, 11) + '23:59:59.999Z')
    if (found - last < STEP || !isTime(first)) wrong ||= first
    last = found
  }
  expect(wrong).toBe('')
})

it('isTime rejects every day that a month does not have', () => {
  for (let year = 0; year <= 9999; year++) {
    for (const day of [
      '02-28',
      '02-29',
      '02-30',
      '04-30',
      '04-31',
      '11-31',
      '12-31',
      '12-32',
      '00-01',
      '13-01',
      '01-00',
    ]) {
      const text = `${String(year).padStart(4, '0')}-${day}T00:00:00.000Z`
      if (isTime(text) !== isTimeOfDate(text)) expect(text).toBe('judged as Date judges it')
    }
  }
})

it('isTime agrees with Date on valid times with changed characters', () => {
  const time = fc.date({ min: new Date(0), max: new Date(Date.UTC(10_000, 0) - 1), noInvalidDate: true })
  fc.assert(
    fc.property(
      time,
      fc.nat(23),
      fc.string({ unit: 'binary', minLength: 1, maxLength: 1 }),
      (date, at, char) => {
        const text = date.toISOString()
        const changed = text.slice(0, at) + char + text.slice(at + 1)
        expect(isTime(text)).toBe(true)
        expect(isTime(changed), JSON.stringify(changed)).toBe(isTimeOfDate(changed))
      },
    ),
    { numRuns: 5_000 },
  )
})

it('isTime agrees with Date on digits in every place, and on random text', () => {
  const two = fc.integer({ min: 0, max: 99 }).map((n) => String(n).padStart(2, '0'))
  const parts = fc.tuple(two, two, two, two, two, two, two, two, fc.nat(9))
  fc.assert(
    fc.property(parts, ([a, b, month, day, hour, minute, second, hundredths, ms]) => {
      const text = `${a}${b}-${month}-${day}T${hour}:${minute}:${second}.${hundredths}${ms}Z`
      expect(isTime(text), text).toBe(isTimeOfDate(text))
    }),
    { numRuns: 5_000 },
  )
  fc.assert(
    fc.property(fc.string({ maxLength: 40 }), (text) => {
      expect(isTime(text)).toBe(isTimeOfDate(text))
    }),
  )
})

it('timeRank orders times as their text does', () => {
  const time = fc
    .date({ min: new Date(0), max: new Date(Date.UTC(10_000, 0) - 1), noInvalidDate: true })
    .map((date) => date.toISOString())
  fc.assert(
    fc.property(time, time, (a, b) => {
      expect(Math.sign(rank(a) - rank(b))).toBe(a < b ? -1 : a > b ? 1 : 0)
    }),
  )
})
