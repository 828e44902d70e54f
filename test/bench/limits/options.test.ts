import { describe, expect, it } from 'vitest'
import type { Limit } from './limit.ts'
import { limitNames, parseLimitOptions } from './options.ts'

const known = ['codec', 'sync']

describe('parseLimitOptions', () => {
  it('runs every limit in five rounds by default', () =>
    expect(parseLimitOptions([], known)).toEqual({
      names: known,
      rounds: 5,
      json: false,
      list: false,
      help: false,
    }))

  it('takes the names of limits', () =>
    expect(parseLimitOptions(['sync', '--rounds', '3', '--json'], known)).toMatchObject({
      names: ['sync'],
      rounds: 3,
      json: true,
    }))

  it.each([
    [['synk'], 'synk: expected one of codec, sync'],
    [['--rounds', '0'], '--rounds 0: expected an integer above 0'],
    [['--rounds', '1.5'], '--rounds 1.5: expected an integer above 0'],
  ])('rejects %j', (argv, message) =>
    expect(() => parseLimitOptions(argv, known)).toThrow(new RangeError(message)),
  )

  it('rejects an unknown option', () =>
    expect(() => parseLimitOptions(['--round', '3'], known)).toThrow(TypeError))
})

describe.each(limitNames().map((name) => ({ name })))('limit $name', ({ name }) => {
  it('describes its work in one sentence', async () => {
    const { about, run } = (await import(/* @vite-ignore */ `./${name}.ts`)) as Limit
    expect(about).toMatch(/^[A-Z][^\n]*\.$/)
    expect(run).toBeTypeOf('function')
  })
})
