// Runs the fuzz targets over their corpus and a fixed number of mutations of it.
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { psdbFolder, whyNoC } from '../support/c.ts'
import { run } from '../support/process.ts'
import { QUICK } from '../support/quick.ts'

const sources = join(psdbFolder, 'fuzz')
const why = whyNoC(['clang'], ['-fsanitize=fuzzer'])

describe.skipIf(why !== '')(`the fuzz targets of the store${why}`, () => {
  const out = mkdtempSync(join(tmpdir(), 'psdb-fuzz-'))
  afterAll(() => rmSync(out, { recursive: true }))

  it.each(QUICK ? ['messages'] : ['messages', 'disk'])('%s', async (target) => {
    const args = ['-s', '-C', sources, `OUT=${out}`, 'RUNS=1000', `check-${target}`]
    const { code, stdout, stderr } = await run('make', args, { timeoutMs: 290_000 })
    expect(code, stdout + stderr).toBe(0)
    expect(stderr).toMatch(/stat::number_of_executed_units: 1\d\d\d/)
  })
})
