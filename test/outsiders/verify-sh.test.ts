// verify.sh verifies ledgers in a root file system that holds only a shell, coreutils, sed, awk and openssl.
import { spawnSync } from 'node:child_process'
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { checkpointOf, filesBelow, makeLedger, proofOf, testRecords } from '@service-fs/client/testing'
import { verifyDirectory } from '@service-fs/client/verify-directory'
import { entriesOf } from '@service-fs/format/entry'
import { nativeHasher, sha256Hex } from '@service-fs/native/native'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { serviceFsCommand } from '../support/daemon.ts'
import { QUICK } from '../support/quick.ts'
import { damage, random } from './damages.ts'
import { makeBoth, makeByDaemon, mixedRecords, vkeyOf } from './ledgers.ts'
import { makeRoot, whyNoRoot, type RootFs, type Said, type ShellKind } from './root-fs.ts'

/** The number of damages for each shell, spread over the kinds of ledgers. */
const DAMAGES: Record<ShellKind, number> = QUICK ? { dash: 12, busybox: 0 } : { dash: 200, busybox: 30 }
const SEED = Number(process.env['SEED'] ?? 1)

let work = ''

beforeAll(() => {
  work = mkdtempSync(join(tmpdir(), "service-fs outsiders' "))
})

afterAll(() => rmSync(work, { recursive: true, force: true }))

/** Makes a ledger once, for all shells. */
const made = new Map<string, Promise<string>>()

function ledgerOf(name: string, make: (dir: string) => Promise<string | void>): Promise<string> {
  let ledger = made.get(name)
  if (ledger === undefined) {
    const dir = join(work, name)
    mkdirSync(dir, { recursive: true })
    ledger = make(dir).then((at) => at ?? dir)
    made.set(name, ledger)
  }
  return ledger
}

const grown = (): Promise<string> =>
  ledgerOf('grow', (dir) => makeBoth(dir, { records: mixedRecords(300), tail: 'grow' }))
const each = (): Promise<string> =>
  ledgerOf('each', (dir) => makeBoth(dir, { records: mixedRecords(300), tail: 'each', commit: 60 }))
const exported = (): Promise<string> =>
  ledgerOf('export', (dir) => makeBoth(dir, { records: mixedRecords(300), tail: 'export' }))

function expectTrue({ status, stdout, stderr }: Said, size: number): void {
  expect({
    status,
    stdout,
    false: stderr.match(/^(?!true: |note: ).*$/gm)?.filter((line) => line !== '') ?? [],
  }).toEqual({
    status: 0,
    stdout: '',
    false: [],
  })
  expect(stderr).toContain(`has ${size} entries,`)
}

describe.each<ShellKind>(QUICK ? ['dash'] : ['dash', 'busybox'])('verify.sh under %s', (kind) => {
  const why = whyNoRoot(kind)

  describe.skipIf(why !== undefined)(why === undefined ? 'and nothing else' : `(skipped: ${why})`, () => {
    let root: RootFs

    beforeAll(() => {
      root = makeRoot(kind)
    })

    afterAll(() => root.dispose())

    it('finds no other program in the root file system', () => {
      for (const name of ['node', 'perl', 'python3', 'find', 'grep', 'tar', 'xxd', 'cmp', 'gzip'])
        expect(root.sh(`command -v ${name}`).status, name).not.toBe(0)
    })

    it.each([0, 1, 255, 256, 257])(
      'verifies %i entries in all forms',
      async (size) => {
        for (const tail of ['grow', 'each', 'export'] as const) {
          const dir = await ledgerOf(`${tail}-${size}`, (at) =>
            makeLedger(at, { records: testRecords(size), tail, commit: 100 }),
          )
          expectTrue(root.verify(dir), size)
        }
      },
      300_000,
    )

    it('verifies records of all kinds, with an audit sub-ledger, and changes nothing', async () => {
      for (const ledger of [await grown(), await each(), await exported()]) {
        const said = root.verify(ledger)
        expectTrue(said, 304)
        expect(said.stderr).toContain('example.org/ledger/test/audit has 20 entries,')
      }
      root.put(await grown(), 'ledger')
      const before = root.sh('cd /ledger && sha256sum $(ls -d * */* */*/* | sort)').stdout
      expect(root.sh('sh /ledger/verify.sh').status).toBe(0)
      expect(root.sh('cd /ledger && sha256sum $(ls -d * */* */*/* | sort)').stdout).toBe(before)
    })

    it('verifies 10,000 entries, and an export of them', async () => {
      const dir = await ledgerOf('ten', (at) => makeLedger(at, { records: testRecords(10_000), commit: 300 }))
      expectTrue(root.verify(dir), 10_000)
      const out = await ledgerOf('ten-export', async (at) => {
        rmSync(at, { recursive: true })
        expect((await serviceFsCommand(['export', dir, '--out', at])).code).toBe(0)
      })
      expectTrue(root.verify(out), 10_000)
    })

    it.each(['a', 'b'] as const)(
      'verifies a ledger that a daemon of Envelope %s wrote',
      async (envelope) => {
        const dir = await ledgerOf(`daemon-${envelope}`, (at) => makeByDaemon(at, envelope, 600))
        const said = root.verify(dir, '-k', vkeyOf(dir))
        expectTrue(said, 601)
        expect(said.stderr).toContain('/audit has 30 entries,')
      },
      300_000,
    )

    it.skipIf(QUICK || kind === 'busybox')(
      'verifies more entries than a full tile of level 1 has',
      async () => {
        const dir = await ledgerOf('large', (at) =>
          makeLedger(at, { records: testRecords(65_536 + 300), commit: 5000 }),
        )
        expectTrue(root.verify(dir), 65_836)
        const tile = join(dir, 'tile/1/000.b64')
        const text = readFileSync(tile, 'utf8')
        writeFileSync(
          tile,
          text.replace(/^(.)/, (first) => (first === 'A' ? 'B' : 'A')),
        )
        expect(root.verify(dir)).toMatchObject({
          status: 1,
          stderr: expect.stringContaining('tile/1/000.b64 line 1:') as string,
        })
      },
      1_200_000,
    )

    it('finds the damages that verify finds', async () => {
      let found = 0
      for (let i = 0; found < DAMAGES[kind]; i++) {
        const ledger = await [grown, each, exported][i % 3]!()
        const copy = join(work, 'damaged')
        rmSync(copy, { recursive: true, force: true })
        cpSync(ledger, copy, { recursive: true })
        const { file, what } = damage(copy, random(SEED * 1000 + i))
        const report = await verifyDirectory(copy)
        if (file === 'verify.sh' || !existsSync(join(copy, 'verify.sh'))) continue
        const said = root.verify(copy)
        const label = `seed ${SEED}, damage ${i}: ${file}, ${what}`
        expect(
          [said.status, said.stderr.includes('FALSE: ')],
          `${label}\n${JSON.stringify(report.problems)}\n${said.stderr}`,
        ).toEqual(report.ok ? [0, false] : [1, true])
        if (report.ok) continue
        const place = file.split('/').filter((part) => part !== 'audit')[0] ?? ''
        expect(said.stderr, label).toContain(place)
        expect(said.stderr, label).not.toMatch(/awk:|syntax error|not found:/)
        found += 1
      }
    }, 3_600_000)

    it('rejects another key, and accepts the right one', async () => {
      const dir = await exported()
      expectTrue(root.verify(dir, '-k', vkeyOf(dir)), 304)
      const other = join(work, 'other')
      await makeLedger(other, { records: testRecords(1), origin: 'example.org/ledger/other' })
      expect(root.verify(dir, '-k', vkeyOf(other)).status).toBe(1)
    })

    it('prints one entry that is in the tree', async () => {
      const dir = await exported()
      const { status, stdout } = root.verify(dir, 'entry', '3')
      expect([status, stdout]).toEqual([0, expect.stringContaining('\nid: record/3\n')])
      expect(root.verify(dir, 'entry', '304').status).toBe(1)
    })

    it('checks a proof of a record, also of a split one', async () => {
      const records = mixedRecords(300)
      const entries = records.flatMap((record) => entriesOf(record, sha256Hex))
      for (const [record, index] of [
        [3, 3],
        [17, 17],
        [299, 303],
      ] as const) {
        writeFileSync(join(work, 'a.tlog-proof'), await proofOf(entries, index))
        writeFileSync(join(work, 'payload'), records[record]!.payload)
        root.put(join(work, 'a.tlog-proof'), 'a.tlog-proof')
        root.put(join(work, 'payload'), 'payload')
        const right = root.verify(await exported(), 'proof', '/a.tlog-proof', '/payload')
        expect([right.status, right.stderr]).toEqual([0, expect.stringContaining(`its id: record/${record}`)])
        for (const [path, at] of [
          ['a.tlog-proof', 40],
          ['a.tlog-proof', -200],
          ['payload', 2],
          ['payload', -1],
        ] as const) {
          const bytes = readFileSync(join(work, path))
          const place = at < 0 ? bytes.length + at : at
          bytes[place] = (bytes[place] ?? 0) ^ 1
          writeFileSync(join(work, 'changed'), bytes)
          root.put(join(work, 'changed'), path)
          expect(
            root.verify(await exported(), 'proof', '/a.tlog-proof', '/payload').status,
            `${path} ${at}`,
          ).toBe(1)
          root.put(join(work, path), path)
        }
      }
    })

    it('checks that two checkpoints are of one tree', async () => {
      const entries = mixedRecords(300).flatMap((record) => entriesOf(record, sha256Hex))
      const leaves = entries.map((entry) => nativeHasher.leaf(entry))
      const fork = leaves.with(5, leaves[6] ?? '')
      for (const [name, note] of [
        ['old', await checkpointOf(leaves, 100)],
        ['new', await checkpointOf(leaves, 304)],
        ['fork', await checkpointOf(fork, 100)],
      ] as const) {
        writeFileSync(join(work, name), note)
        root.put(join(work, name), name)
      }
      expectTrue(root.verify(await grown(), 'consistency', '/old', '/new'), 304)
      const said = root.verify(await grown(), 'consistency', '/fork', '/new')
      expect(said).toMatchObject({
        status: 1,
        stderr: expect.stringContaining('OLD: expected the root hash of the 100') as string,
      })
    })

    it('prints its usage', async () => {
      expect(root.verify(await exported(), 'what')).toMatchObject({
        status: 2,
        stderr: expect.stringContaining('sh verify.sh') as string,
      })
    })
  })
})

it("verify.sh does not depend on the working directory, nor on the name of the ledger's directory", async () => {
  const dir = join(work, 'a b "c" $d')
  cpSync(await exported(), dir, { recursive: true })
  const before = await filesBelow(dir)
  const temporary = mkdtempSync(join(tmpdir(), 'service-fs \\ outsiders-'))
  for (const [cwd, script] of [
    [dir, 'verify.sh'],
    [work, join(dir, 'verify.sh')],
    ['/', join(dir, 'audit/verify.sh')],
  ] as const) {
    const said = spawnSync('sh', [script], {
      cwd,
      encoding: 'utf8',
      env: { ...process.env, TMPDIR: temporary },
    })
    expectTrue(said, script.includes('audit') ? 20 : 304)
  }
  expect(await filesBelow(dir)).toEqual(before)
  expect(await filesBelow(temporary)).toEqual({})
  rmSync(temporary, { recursive: true })
})
