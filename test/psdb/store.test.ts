// The store's C tests, under AddressSanitizer and UBSan: one result for each TEST() of microkit/psdb/test. In the quick set
// the power is cut in one history of each kind, and the program with small segments is left out.
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { psdbFolder, whyNoC } from '../support/c.ts'
import { run } from '../support/process.ts'
import { QUICK } from '../support/quick.ts'

const sources = join(psdbFolder, 'test')
const why = whyNoC(['clang', 'gcc'], ['-fsanitize=address,undefined'])

/** The names of a source's tests. */
function testsOf(file: string): string[] {
  const text = readFileSync(join(sources, `${file}.c`), 'utf8')
  return [...text.matchAll(/^TEST\((\w+)\)/gm)].map((match) => match[1] ?? '')
}

/**
 * The output of each test, by name. Each result is a line `ok - file.name`; the test's output precedes it in lines that begin
 * with `# `.
 */
function parseResults(tap: string): Map<string, string> {
  const results = new Map<string, string>()
  let output = ''
  for (const line of tap.split('\n')) {
    const [, result, name] = /^(ok|not ok) - (.+)$/.exec(line) ?? []
    if (result === undefined || name === undefined) {
      output += line.slice(2) + '\n'
      continue
    }
    results.set(name, result === 'ok' ? 'ok' : `not ok\n${output}`)
    output = ''
  }
  return results
}

describe.skipIf(why !== '')(`the store${why}`, () => {
  const out = mkdtempSync(join(tmpdir(), 'psdb-test-'))
  afterAll(() => rmSync(out, { recursive: true }))

  beforeAll(async () => {
    const programs = (QUICK ? ['psdb-tests'] : ['psdb-tests', 'psdb-tests-small']).map((name) =>
      join(out, name),
    )
    const args = ['-s', '-j2', '-C', sources, `OUT=${out}`, ...programs]
    const { code, stdout, stderr } = await run('make', args, { timeoutMs: 300_000 })
    expect([code, stdout, stderr]).toEqual([0, '', ''])
  })

  function describeTests(
    title: string,
    program: string,
    file: string,
    env: Record<string, string> = {},
  ): void {
    describe(title, () => {
      let results = new Map<string, string>()
      beforeAll(async () => {
        const { stdout, stderr } = await run(join(out, program), [`${file}.`], { env, timeoutMs: 580_000 })
        results = parseResults(stdout + stderr)
      })
      for (const name of testsOf(file)) {
        it(name.replaceAll('_', ' '), () => {
          expect(results.get(`${file}.${name}`) ?? 'not run').toBe('ok')
        })
      }
    })
  }

  const files = readdirSync(sources)
    .filter((name) => name.endsWith('.c'))
    .map((name) => name.slice(0, -'.c'.length))
    .filter((file) => testsOf(file).length > 0)
  for (const file of files)
    describeTests(file, 'psdb-tests', file, QUICK && file === 'cuts' ? { PSDB_TEST_SEEDS: '1' } : {})
  for (const file of QUICK ? [] : ['cuts', 'faults'])
    describeTests(`${file}, small segments`, 'psdb-tests-small', file, { PSDB_TEST_SEEDS: '2' })
})
