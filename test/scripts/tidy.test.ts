// Every C source of the appliance and of its tests is checked by clang-tidy, or the lint fails.
import { execFileSync } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { generate } from '../../microkit/generate.mjs'
import { tidyJobs } from '../../microkit/tidy.mjs'
import { repoRoot } from '../support/root.ts'

const complete = { nothing: [], crates: [], engine: [], disk: [], domains: [] }
const domains = new Map([['net/net.c', ['-DDOMAIN_NET']]])

describe('tidyJobs', () => {
  it('takes the flags of the protection domain, or of the first group that fits', () =>
    expect(tidyJobs(['net/net.c', 'net/net.h', 'psdb/tar.c'], { lacking: complete, domains })).toEqual({
      jobs: [
        { path: 'net/net.c', flags: ['-DDOMAIN_NET'] },
        { path: 'psdb/tar.c', flags: ['-std=c11', '-ffreestanding'] },
      ],
      skipped: [],
      uncovered: [],
    }))

  it('names a source that no group and no domain covers', () =>
    expect(tidyJobs(['net/test/card.c'], { lacking: complete, domains }).uncovered).toEqual([
      'net/test/card.c: expected it in HOST_GROUPS of tidy.mjs, or in a protection domain',
    ]))

  it('names what is missing on this machine, and checks the rest', () => {
    const lacking = {
      nothing: [],
      crates: ['cargo'],
      engine: ['cargo'],
      disk: [],
      domains: ['the SDK', 'cargo'],
    }
    const paths = ['net/net.c', 'keys/test/rig.c', 'keys/test/cuts.c', 'psdb/tar.c']
    expect(tidyJobs(paths, { lacking, domains: new Map() })).toEqual({
      jobs: [{ path: 'psdb/tar.c', flags: ['-std=c11', '-ffreestanding'] }],
      skipped: [
        'clang-tidy of the protection domains: missing the SDK',
        'clang-tidy of the protection domains: missing cargo',
        'clang-tidy of keys/test/: missing cargo',
      ],
      uncovered: [],
    })
  })
})

it('the C lint covers every C source of the appliance and of its tests', () => {
  const cwd = join(repoRoot, 'microkit')
  const tests = join(repoRoot, 'test/appliance')
  const listed = execFileSync('git', ['ls-files', '*.c', '../test/*.c'], { cwd, encoding: 'utf8' })
  const paths = listed.trim().split('\n')
  const lists = readdirSync(tests).filter((name) => name.endsWith('.json'))
  const sources = [join(cwd, 'totebox.json'), ...lists.map((name) => join(tests, name))].flatMap((list) => {
    const { description } = generate(JSON.parse(readFileSync(list, 'utf8')))
    return [...description.domains.values()].flatMap((domain) => domain.sources)
  })
  // The other groups need headers that this test does not make.
  const lacking = { ...complete, crates: ['nothing'], engine: ['nothing'], disk: ['nothing'] }
  const flags = new Map(sources.map((source) => [source.replace(/^\.\//, '../test/appliance/'), ['']]))
  const { jobs, uncovered } = tidyJobs(paths, { lacking, domains: flags })
  expect(uncovered).toEqual([])
  expect(jobs.length).toBeGreaterThan(60)
})
