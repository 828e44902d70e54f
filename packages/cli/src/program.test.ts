import { readFile, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { entriesOf, type RecordContent } from '@service-fs/format/entry'
import { parseSignerKey, signerFromKey } from '@service-fs/tlog/keys'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { nativeCodec, sha256Hex } from '@service-fs/native/native'
import { cli } from './testing.ts'
import { makeLedger, proofOf, remove, temporary, testRecords, testSigner } from '@service-fs/client/testing'

let dir = ''

beforeEach(async () => {
  dir = await temporary()
})
afterEach(() => remove(dir))

it('the program exits with status 2 on wrong usage, with one line and no stack trace', async () => {
  const wrong = [
    ['nonsense'],
    ['verify', '--nonsense'],
    ['append'],
    ['get'],
    ['get', '--all'],
    ['get', '--id', 'a', '--cursor', '1'],
    ['get', '--cursor', '0'],
    ['proof'],
    ['ls', '--since', '-1'],
    ['ls', '--url', 'nonsense'],
    ['append', '-', '--type', 'text/plain'],
    ['append', '-', 'a'],
    ['append', 'a', '--connections', '9'],
    ['append', 'a', '--connections', '0'],
    ['append', 'a', 'b', '--id', 'x'],
    ['verify-proof', join(dir, 'x'), '--record', 'r'],
    ['verify', dir, '--vkey', 'nonsense'],
    ['keygen', '--name', 'a b'],
    ['keygen', '--algorithm', 'rsa'],
  ]
  await makeLedger(dir, { records: testRecords(3) })
  for (const args of wrong) {
    const { code, errors } = await cli(...args)
    expect(code, args.join(' ')).toBe(2)
    expect(errors, args.join(' ')).toHaveLength(1)
    expect(errors[0]).not.toContain('\n')
  }
})

it('the program exits with status 0 for help and version', async () => {
  expect((await cli('--version')).code).toBe(0)
  const help = await cli('--help')
  expect(help.code).toBe(0)
  expect(help.text()).toContain('Exit status')
})

it('the program exits with status 3 when the server does not answer, or a file is missing', async () => {
  expect((await cli('verify', join(dir, 'none'))).code).toBe(3)
  const gone = await cli(
    'verify-proof',
    join(dir, 'none'),
    '--record',
    'x',
    '--vkey',
    testSigner().vkey,
    '--json',
  )
  expect(gone.code).toBe(3)
  expect(JSON.parse(gone.errors[0] ?? '')).toMatchObject({ error: { code: 'file' } })
})

it('keygen makes keys that can sign and that only their owner can read, and never overwrites a key', async () => {
  const file = join(dir, 'key')
  const made = await cli('keygen', '--name', 'example.org/ledger/acme', '--out', file)
  expect(made.code).toBe(0)
  expect((await stat(file)).mode & 0o777).toBe(0o600)
  const key = (await readFile(file, 'utf8')).trim()
  expect(signerFromKey(key).vkey + '\n').toBe(made.text())
  expect(made.text() + made.errors.join()).not.toContain('PRIVATE')
  expect((await cli('keygen', '--out', file)).code).toBe(3)
  expect((await readFile(file, 'utf8')).trim()).toBe(key)
  const printed = await cli('keygen', '--name', 'a', '--out', '-', '--algorithm', 'ml-dsa-44')
  expect(parseSignerKey(printed.text().trim())).toMatchObject({ name: 'a', type: 6 })
  expect(printed.errors[0]).toMatch(/^a\+/)
})

it('verify exits with status 0 for a valid directory, and otherwise with 1, the problem and its place', async () => {
  await makeLedger(dir, { records: testRecords(300) })
  const good = await cli('verify', dir, '--vkey', testSigner().vkey)
  expect(good.errors).toEqual([])
  expect(good.code).toBe(0)
  expect(good.text()).toMatch(/^true {2}example.org\/ledger\/test: 300 entries, 300 records/)
  const bundle = join(dir, 'tile/entries/000.b64')
  const text = await readFile(bundle, 'latin1')
  await writeFile(
    bundle,
    text.replace(/^(.{30})./, (_, start: string) => start + '9'),
  )
  const bad = await cli('verify', dir)
  expect(bad.code).toBe(1)
  expect(bad.errors.join('\n')).toContain('tile/entries/000.b64 line 1 (entry 0): expected ')
  const json = await cli('verify', dir, '--json')
  expect(json.code).toBe(1)
  expect(JSON.parse(json.text())).toMatchObject({ ok: false, size: 300, pinned: false })
})

it('verify-proof verifies proofs of whole and of split records offline', async () => {
  const large: RecordContent = {
    id: 'large',
    type: 'application/pdf',
    time: '2026-11-23T00:00:00.000Z',
    payload: Buffer.alloc(130_000, 'pdf'),
  }
  const entries = [...testRecords(5), large].flatMap((content) => entriesOf(content, sha256Hex, nativeCodec))
  const files = {
    proof: join(dir, 'a.tlog-proof'),
    record: join(dir, 'record'),
    entry: join(dir, 'entry'),
    policy: join(dir, 'policy'),
  }
  await writeFile(files.policy, `log ${testSigner().vkey}\nquorum none\n`)
  for (const [index, payload] of [
    [3, testRecords(5)[3]?.payload ?? ''],
    [5, large.payload],
  ] as const) {
    await writeFile(files.proof, await proofOf(entries, index))
    await writeFile(files.record, payload)
    await writeFile(files.entry, entries[index] as Uint8Array)
    const record = ['verify-proof', files.proof, '--record', files.record]
    expect(await cli(...record, '--policy', files.policy)).toMatchObject({ code: 0, errors: [] })
    expect(
      await cli('verify-proof', files.proof, '--entry', files.entry, '--vkey', testSigner().vkey),
    ).toMatchObject({ code: 0 })
    expect((await cli(...record, '--vkey', testSigner('example.org/ledger/test', 8).vkey)).code).toBe(1)
    const changed = Buffer.from(payload)
    changed[changed.length - 1] = 1
    for (const other of [
      changed,
      Buffer.concat([Buffer.from(payload), Buffer.from('x')]),
      Buffer.alloc(0),
      Buffer.alloc(70_000),
    ]) {
      await writeFile(files.record, other)
      const { code, errors } = await cli(...record, '--policy', files.policy)
      expect(code).toBe(1)
      expect(errors).toHaveLength(1)
    }
  }
  await writeFile(files.proof, 'nonsense')
  expect(
    (await cli('verify-proof', files.proof, '--record', files.record, '--policy', files.policy)).code,
  ).toBe(3)
})

it.each([['verify'], ['audit', 'verify'], ['export', '--out', 'out'], ['restore', '--out', 'out']])(
  'the program reports the byte at which a file deviates from a tar archive: %s %s',
  async (...args) => {
    const file = join(dir, 'x.tar')
    await writeFile(file, Buffer.alloc(5000, 'x'))
    const { code, errors } = await cli(...args.map((arg) => (arg === 'out' ? join(dir, 'out') : arg)), file)
    expect([code, errors.join()]).toEqual([3, expect.stringContaining('byte 0: expected a tar archive or')])
  },
)
