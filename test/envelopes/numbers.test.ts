// The core's numbers in V8 and in QuickJS, compared with Go's strconv and math/big.

import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { beforeAll, describe, expect, it } from 'vitest'
import { Random } from '@service-fs/storage/random'
import { Engine } from '@service-fs/engine-host/engine'
import { goBuild, goVersion } from '../support/go.ts'
import { temporaryDirectory } from '@service-fs/storage-posix/testing'
import { repoRoot } from '../support/root.ts'
import { answer } from './numbers-script.ts'
import { ENGINE, nothing, script } from './quickjs.ts'

const SEED = Number(process.env['SEED'] ?? 1)
const why = goVersion === undefined ? ' (skipped: go is not installed)' : ''

const random = new Random(SEED)
const below = (n: number): number => random.below(n)

const times = (count: number, make: () => string): string[] => Array.from({ length: count }, make)
const hex = (bits: bigint): string => bits.toString(16).padStart(16, '0')
const digits = (count: number): string => times(count, () => String(below(10))).join('')
const finite = (bits: bigint): boolean => ((bits >> 52n) & 0x7ffn) !== 0x7ffn
const random64 = (): bigint => (BigInt(below(2 ** 32)) << 32n) | BigInt(below(2 ** 32))

/** 2^k for every exponent that a double has, normal and subnormal, with both neighbours and both signs. */
function powers(): bigint[] {
  const of = Array.from({ length: 2046 }, (_, i) => BigInt(i + 1) << 52n)
  for (let bit = 0n; bit < 52n; bit++) of.push(1n << bit)
  const near = of.flatMap((bits) => [bits - 1n, bits, bits + 1n])
  return [...near, ...near.map((bits) => bits | (1n << 63n))]
}

/** Literals of any length, ties between doubles and texts next to them, money, and doubles in full. */
function literals(): string[] {
  const found: string[] = []
  for (let count = 1; count <= 40; count++)
    found.push(...times(200, () => `${1 + below(9)}.${digits(count)}e${below(640) - 320}`))
  found.push(...times(500, () => String(2n ** 53n + 2n * BigInt(below(2 ** 30)) + 1n)))
  for (const tail of ['', '.0', '.5', 'e0', '0e-1', '.000000000000000000001'])
    found.push(...times(200, () => `${2 ** 52 + below(2 ** 40)}${tail}`))
  found.push(...times(1000, () => `${below(2 ** 46)}.${digits(2)}`))
  for (let i = 0; i < 500; i++) {
    const tie = 2n * (BigInt(below(2 ** 31)) + 2n ** 52n) + 1n
    const power = 1 + below(60)
    const exact = String(tie * 5n ** BigInt(power))
    found.push(
      `${exact}e-${power}`,
      `${exact}${'0'.repeat(40)}1e-${power + 41}`,
      String(tie << BigInt(power)),
    )
  }
  const bytes = new DataView(new ArrayBuffer(8))
  for (const bits of [...powers(), ...Array.from({ length: 4000 }, random64)].filter(finite)) {
    bytes.setBigUint64(0, bits)
    const value = bytes.getFloat64(0)
    found.push(String(value), value.toExponential(16), value.toExponential(17), value.toExponential(15))
  }
  return found
}

describe(`numbers, against Go's strconv and math/big, seed ${SEED}${why}`, () => {
  let lines: string[] = []
  let expected: string[] = []
  beforeAll(async () => {
    if (goVersion === undefined) return
    const bin = temporaryDirectory()
    await goBuild(join(repoRoot, 'test/envelopes/numbers'), bin.path, ['.'])
    const doubles = [...powers(), ...Array.from({ length: 20_000 }, random64)]
    // Few bits set: these have the most candidate texts.
    for (let i = 0; i < 5000; i++)
      doubles.push((random64() >> BigInt(40 + below(20))) << BigInt(44 + below(19)))
    lines = doubles
      .map((bits) => BigInt.asUintN(64, bits))
      .filter(finite)
      .map((bits) => `bits ${hex(bits)}`)
    lines.push(...literals().map((literal) => `literal ${literal}`))
    const done = spawnSync(join(bin.path, 'numbers'), {
      input: lines.join('\n'),
      encoding: 'utf8',
      maxBuffer: 2 ** 28,
    })
    bin.remove()
    expect(done.status, done.stderr).toBe(0)
    expected = done.stdout.trimEnd().split('\n')
    expect(expected).toHaveLength(lines.length)
  })

  const differences = (found: readonly string[]): string[] =>
    lines.flatMap((line, i) =>
      found[i] === expected[i] ? [] : [`${line}: expected ${expected[i]}, found ${found[i]}`],
    )

  it.skipIf(why !== '')('the core in V8 writes and refuses the same', () => {
    expect(differences(lines.map(answer)).slice(0, 20)).toEqual([])
    expect(expected.filter((text) => text === 'refused').length).toBeGreaterThan(5000)
  })

  it.skipIf(why !== '')('the core in QuickJS writes and refuses the same', async () => {
    const engine = await Engine.create(ENGINE)
    let said = ''
    engine.define('host', { said: nothing((given) => (said = given.text(0))) })
    engine.evaluate(await script(join(repoRoot, 'test/envelopes/numbers-script.ts')), 'numbers.js')
    engine.bind('serviceFs')
    const found: string[] = []
    for (let at = 0; at < lines.length; at += 1000) {
      engine.call('answer', lines.slice(at, at + 1000).join('\n'))
      found.push(...said.split('\n'))
    }
    expect(differences(found).slice(0, 20)).toEqual([])
  })
})
