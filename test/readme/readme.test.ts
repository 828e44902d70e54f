// The shell lines printed in README.txt of a ledger verify an entry, under dash with coreutils.
import { spawnSync } from 'node:child_process'
import { cpSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { SHELL_MARK } from '@service-fs/format/readme'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { daemonBuilt, startDaemon } from '../support/daemon.ts'

const missing = ['dash', 'sha256sum', 'base64', 'sed'].filter(
  (tool) => spawnSync('sh', ['-c', `command -v ${tool}`]).status !== 0,
)
const hasOpenssl = spawnSync('openssl', ['version']).status === 0
const why = missing.length > 0 ? ` (skipped: no ${missing.join(', ')})` : ''

/** Runs the lines between the marks as they stand, with the number of the entry put in, in a directory with nothing but coreutils. */
function shell(at: string, entry: number): string {
  const lines = readFileSync(join(at, 'README.txt'), 'utf8').split(SHELL_MARK)[1] ?? ''
  expect(lines).toContain('\nN=0 ')
  const { stdout, stderr, status } = spawnSync('dash', ['-s'], {
    cwd: at,
    input: lines.replace('\nN=0 ', `\nN=${entry} `),
    encoding: 'utf8',
  })
  expect(stderr).toBe('')
  expect(status).toBe(0)
  return stdout
}

describe.skipIf(missing.length > 0)(`the shell lines of README.txt${why}`, () => {
  let work = ''
  let dir = ''

  beforeAll(async () => {
    expect(daemonBuilt).toBe(true)
    work = mkdtempSync(join(tmpdir(), 'service-fs-readme-'))
    dir = join(work, 'copy')
    const daemon = await startDaemon()
    for (let at = 0; at < 600; at += 100) {
      const lines = Array.from({ length: 100 }, (_, i) =>
        JSON.stringify({ payload_id: `r${at + i}`, payload: { number: at + i } }),
      )
      const answer = await daemon.fetch('/v1/append', {
        method: 'POST',
        headers: { 'content-type': 'application/x-ndjson' },
        body: lines.join('\n'),
      })
      expect(answer.status).toBe(200)
    }
    await daemon.kill()
    cpSync(daemon.dir, dir, { recursive: true })
    await daemon.dispose()
  }, 120_000)

  afterAll(() => rmSync(work, { recursive: true, force: true }))

  it.each([0, 255, 300, 599])(
    'print entry %i and find it and the tree true',
    (entry) => {
      const said = shell(dir, entry)
      expect(said).toContain(`id: r${entry}\ntype: application/json\n`)
      expect(said).toContain(`{"number":${entry}}`)
      expect(said).toMatch(/leaf hash: {2}true/)
      expect(said).toMatch(/root hash: {2}true/)
      expect(said).not.toContain('FALSE')
    },
    300_000,
  )

  it.each(['tile/entries/000.b64', 'tile/0/000.b64', 'tail'])(
    'find a change in %s',
    (path) => {
      const copy = join(work, 'changed')
      rmSync(copy, { recursive: true, force: true })
      cpSync(dir, copy, { recursive: true })
      const file =
        path === 'tail' ? join(copy, 'tail', readdirSync(join(copy, 'tail'))[0] ?? '') : join(copy, path)
      const text = readFileSync(file, 'utf8').split('\n')
      // Another character in the middle of the sixth line: an entry, or a hash.
      const line = path === 'tail' ? 5 : 5
      const old = text[line] ?? ''
      text[line] = `${old.slice(0, 30)}${old[30] === 'A' ? 'B' : 'A'}${old.slice(31)}`
      rmSync(file)
      writeFileSync(file, text.join('\n'))
      const entry = path === 'tail' ? 512 : 5
      expect(shell(copy, entry)).toContain('FALSE')
    },
    300_000,
  )

  it.skipIf(!hasOpenssl)(
    `print the lines that check the signature with OpenSSL${hasOpenssl ? '' : ' (skipped: no openssl)'}`,
    () => {
      const text = readFileSync(join(dir, 'README.txt'), 'utf8')
      const lines = text
        .slice(text.indexOf('With OpenSSL:') + 'With OpenSSL:'.length)
        .replaceAll('/tmp/', `${work}/`)
      const run = () => spawnSync('dash', ['-s'], { cwd: dir, input: lines, encoding: 'utf8' })
      expect(run().stdout).toContain('Signature Verified Successfully')
      const checkpoint = join(dir, 'checkpoint')
      const honest = readFileSync(checkpoint, 'utf8')
      rmSync(checkpoint)
      writeFileSync(checkpoint, honest.replace('\n600\n', '\n601\n'))
      expect(run().status).not.toBe(0)
      writeFileSync(checkpoint, honest)
    },
  )
})
