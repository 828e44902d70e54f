// The network domain and lwIP on this host, under AddressSanitizer and UBSan: misbehaving peers and ledgers.
import { execFileSync, spawnSync } from 'node:child_process'
import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { buildRoot, networkFlags, vendor } from '../../microkit/build.mjs'
import { LWIP } from '../../microkit/network.mjs'

const has = (command: string) => spawnSync(command, ['--version']).status === 0
const compilers = ['gcc', 'clang'].filter(has)
const runs = compilers.length > 0 && has('cargo')

const here = join(import.meta.dirname, 'c')
const microkit = join(import.meta.dirname, '../../microkit')
const warnings = ['-Wall', '-Wextra', '-Werror', '-Wpedantic', '-Wshadow', '-Wconversion']
// lwIP reads headers in place in a frame, aligned or not.
const sanitizers = ['-fsanitize=address,undefined', '-fno-sanitize=alignment', '-fno-sanitize-recover']
const include = [`-I${here}/net`, `-I${microkit}`, ...networkFlags()]
const mine = ['checksum', 'connection', 'random', 'stack', 'tenant'].map((name) =>
  join(microkit, 'net', `${name}.c`),
)

describe.skipIf(!runs)('the network in C (with cargo, and gcc or clang)', () => {
  let folder: string
  beforeAll(() => {
    vendor()
    folder = mkdtempSync(join(tmpdir(), 'service-fs-net-'))
  }, 120_000)
  afterAll(() => rmSync(folder, { recursive: true }))

  it.each(compilers)('frees all memory: %s', { timeout: 120_000 }, (compiler) => {
    const objects = mkdtempSync(join(folder, 'objects-'))
    const flags = ['-g', '-O1', ...sanitizers, ...include]
    const lwip = LWIP.map((source) => join(buildRoot, source))
    execFileSync(compiler, [...flags, '-w', '-c', ...lwip], { cwd: objects, stdio: 'pipe' })
    const compiled = readdirSync(objects).map((name) => join(objects, name))
    const sources = [join(here, 'net.c'), ...mine, join(microkit, 'lib/text.c'), ...compiled]
    const binary = join(folder, compiler)
    execFileSync(compiler, ['-std=c11', ...warnings, ...flags, ...sources, '-o', binary], { stdio: 'pipe' })
    for (const seed of [1, 2, 3, Math.floor(Math.random() * 2 ** 32)]) {
      const done = spawnSync(binary, [`${seed}`, '100000'], { encoding: 'utf8' })
      expect(done.stderr, `seed ${seed}`).toBe('')
      expect(done.status, `seed ${seed}`).toBe(0)
    }
  })
})
