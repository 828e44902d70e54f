// The appliance's C parts that need no kernel, under AddressSanitizer and UBSan.
import { execFileSync, spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'

const microkit = join(import.meta.dirname, '../../microkit')
const compilers = ['gcc', 'clang'].filter((compiler) => spawnSync(compiler, ['--version']).status === 0)
const warnings = ['-Wall', '-Wextra', '-Werror', '-Wpedantic', '-Wshadow', '-Wconversion']
const sanitizers = ['-fsanitize=address,undefined', '-fno-sanitize-recover']
const flags = ['-std=c11', '-g', '-O1', ...warnings, ...sanitizers, `-I${microkit}`]

describe.skipIf(compilers.length === 0)('C parts of the appliance (with gcc or clang)', () => {
  let folder: string
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'service-fs-c-'))
  })
  afterAll(() => rmSync(folder, { recursive: true }))

  it.each([
    ['ring', []],
    ['virtio', ['virtio/virtio.c', 'virtio/disk.c']],
  ])('%s', (name, sources) => {
    for (const compiler of compilers) {
      const binary = join(folder, `${name}-${compiler}`)
      const files = [
        join(import.meta.dirname, 'c', `${name}.c`),
        ...sources.map((path) => join(microkit, path)),
      ]
      execFileSync(compiler, [...flags, ...files, '-o', binary], { stdio: 'pipe' })
      const done = spawnSync(binary, { encoding: 'utf8' })
      expect(done.stderr).toBe('')
      expect(done.status).toBe(0)
    }
  })
})
