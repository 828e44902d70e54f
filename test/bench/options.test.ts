import { describe, expect, it } from 'vitest'
import { checkNames, isWanted, parseOptions } from './options.ts'

describe('parseOptions', () => {
  it('makes five rounds of both sides by default', () =>
    expect(parseOptions([])).toMatchObject({
      rounds: 5,
      only: [],
      sides: { serviceFs: true, tessera: true },
      sizes: [1000, 100_000, 1_000_000, 10_000_000],
      minutes: undefined,
    }))

  it('takes several names separated by commas, and the option several times', () =>
    expect(parseOptions(['--only', 'append-64,bulk', '--only', 'verify']).only).toEqual([
      'append-64',
      'bulk',
      'verify',
    ]))

  it('leaves Tessera out with --vs', () => {
    const { vs, sides } = parseOptions(['--vs', 'main~3'])
    expect({ vs, sides }).toEqual({ vs: 'main~3', sides: { serviceFs: true, tessera: false } })
  })

  it('includes Tessera with --vs and --side all', () =>
    expect(parseOptions(['--vs', 'main', '--side', 'all']).sides).toEqual({ serviceFs: true, tessera: true }))

  it('limits the short profile to twelve minutes with five rounds', () =>
    expect(parseOptions(['--profile', 'short'])).toMatchObject({ short: true, minutes: 12, rounds: 5 }))

  it('lets options override the profile', () =>
    expect(
      parseOptions(['--profile', 'short', '--rounds', '7', '--seconds', '0.5', '--minutes', '3']),
    ).toMatchObject({ rounds: 7, seconds: 0.5, minutes: 3 }))

  it('takes the sizes of ledgers separated by commas', () =>
    expect(parseOptions(['--profile', 'short', '--sizes', '1000,10000000']).sizes).toEqual([
      1000, 10_000_000,
    ]))

  it('rejects --write-docs with --vs', () =>
    expect(() => parseOptions(['--write-docs', '--vs', 'main~3'])).toThrow(TypeError))

  it('keeps --json and --write-docs apart', () =>
    expect(parseOptions(['--json', '--write-docs'])).toMatchObject({
      json: true,
      writeDocs: true,
      tune: false,
    }))

  it.each([
    [['--rounds', '0'], '--rounds 0: expected a number above 0'],
    [['--rounds', '2.5'], '--rounds 2.5: expected an integer above 0'],
    [['--rounds', ''], '--rounds : expected a number above 0'],
    [['--seconds=-1'], '--seconds -1: expected a number above 0'],
    [['--seconds', 'six'], '--seconds six: expected a number above 0'],
    [['--minutes', 'Infinity'], '--minutes Infinity: expected a number above 0'],
    [['--sizes', '1000,'], '--sizes : expected a number above 0'],
    [['--side', 'go'], '--side go: expected service-fs, tessera or all'],
    [['--profile', 'long'], '--profile long: expected short or full'],
  ])('rejects %j', (argv, message) => expect(() => parseOptions(argv)).toThrow(new RangeError(message)))

  it('rejects an unknown option and a stray argument', () => {
    expect(() => parseOptions(['--round', '3'])).toThrow(TypeError)
    expect(() => parseOptions(['append'])).toThrow(TypeError)
  })
})

describe('isWanted', () => {
  it('selects every load by default', () => expect(isWanted('bulk', [])).toBe(true))
  it('selects the load of that name', () => expect(isWanted('append-64', ['append-64'])).toBe(true))
  it('selects the loads that begin with the name and a dash', () =>
    expect(isWanted('append-64', ['append'])).toBe(true))
  it('does not select a load that begins with the name but not with a dash after it', () =>
    expect(isWanted('append-640', ['append-64'])).toBe(false))
})

describe('checkNames', () => {
  const loads = ['append-16', 'bulk', 'bulk-cli']
  it('accepts names and beginnings of names', () =>
    expect(() => checkNames(['append', 'bulk-cli'], loads)).not.toThrow())
  it('names the expected loads', () =>
    expect(() => checkNames(['verfy'], loads)).toThrow(
      new RangeError('--only verfy: expected one of append-16, bulk, bulk-cli'),
    ))
})
