import { describe, expect, it } from 'vitest'
import { Selection, SelectionError, type SelectionFields } from './selection.ts'

const at = (time: string, id = 'a', type = 'text/plain'): { id: string; type: string; time: string } => ({
  id,
  type,
  time,
})
const NOON = '2026-11-22T12:00:00.000Z'
const BEFORE = '2026-11-22T11:59:59.999Z'
const AFTER = '2026-11-22T12:00:00.001Z'

describe('a selection', () => {
  it('has every record without conditions', () => {
    expect(new Selection({}).isAll).toBe(true)
    expect(new Selection({}).selects(at(NOON))).toBe(true)
  })

  it('includes `from` and excludes `to`', () => {
    const from = new Selection({ from: NOON })
    expect([BEFORE, NOON, AFTER].map((time) => from.selects(at(time)))).toEqual([false, true, true])
    const to = new Selection({ to: NOON })
    expect([BEFORE, NOON, AFTER].map((time) => to.selects(at(time)))).toEqual([true, false, false])
    expect(new Selection({ from: NOON, to: NOON }).selects(at(NOON))).toBe(false)
    expect(from.isAll).toBe(false)
  })

  it('compares the whole type', () => {
    const plain = new Selection({ type: 'text/plain' })
    expect(plain.selects(at(NOON))).toBe(true)
    expect(plain.selects(at(NOON, 'a', 'text/plain; charset=utf-8'))).toBe(false)
    expect(plain.selects(at(NOON, 'a', 'text/plai'))).toBe(false)
  })

  it.each(['a', 'ab', 'é', 'e\u0301', '😀', '\u{1f601}x', 'ab😀'])(
    'compares the start of identifiers as Buffer compares their bytes: %s',
    (prefix) => {
      const selection = new Selection({ prefix })
      const bytes = Buffer.from(prefix)
      for (const id of [
        'a',
        'ab',
        'abc',
        'A',
        'e',
        'é',
        'éa',
        'e\u0301',
        '😀',
        '😁x',
        '\u{1f601}xy',
        'ab😀!',
      ]) {
        const expected = Buffer.from(id).subarray(0, bytes.length).equals(bytes)
        expect(selection.selects(at(NOON, id)), id).toBe(expected)
      }
    },
  )

  it('requires every condition', () => {
    const selection = new Selection({ from: NOON, to: AFTER, type: 'text/plain', prefix: 'inv-' })
    expect(selection.selects(at(NOON, 'inv-1'))).toBe(true)
    expect(selection.selects(at(AFTER, 'inv-1'))).toBe(false)
    expect(selection.selects(at(NOON, 'in-1'))).toBe(false)
    expect(selection.selects(at(NOON, 'inv-1', 'text/html'))).toBe(false)
  })

  it.each<[keyof SelectionFields, SelectionFields]>([
    ['from', { from: '2026-11-22' }],
    ['from', { from: '' }],
    ['from', { from: '2026-02-29T00:00:00.000Z' }],
    ['to', { to: '2026-11-22T12:00:00Z' }],
    ['to', { from: NOON, to: BEFORE }],
    ['type', { type: '' }],
    ['type', { type: 'a\nb' }],
    ['type', { type: 'é'.repeat(128) }],
    ['prefix', { prefix: '' }],
    ['prefix', { prefix: '\ud83d' }],
    ['prefix', { prefix: 'p'.repeat(257) }],
  ])('rejects an invalid %s: %j', (field, fields) => {
    const make = (): Selection => new Selection(fields)
    expect(make).toThrow(SelectionError)
    expect(make).toThrow(expect.objectContaining({ code: 'bad-selection', field }))
    expect(make).toThrow(new RegExp(`^${field}: expected .*, found "`))
  })

  it('accepts text of the greatest length', () => {
    expect(new Selection({ type: 't'.repeat(255), prefix: 'é'.repeat(128) }).isAll).toBe(false)
  })
})
