// Packs of hostile records, read by a verifier in Python that shares no code with the client.
import { spawnSync } from 'node:child_process'
import { cp, mkdir, readFile, readdir, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { entriesOf, type RecordContent } from '@service-fs/format/entry'
import { CLOCK_TYPE } from '@service-fs/format/clock-correction'
import {
  checkpointOf,
  filesBelow,
  makeLedger,
  serveDirectory,
  testRecords,
  testSigner,
} from '@service-fs/client/testing'
import { DUTY_TYPE, dutyPayload, type Duty } from '@service-fs/format/duty'
import { pureCodec } from '@service-fs/tlog/codec'
import { nativeHasher, sha256Hex } from '@service-fs/native/native'
import { describe, expect, it } from 'vitest'
import { at, dir, done, useDirectory } from '../testing-copies.ts'
import { cli } from '../testing.ts'

useDirectory()

const VKEY = testSigner().vkey
const PYTHON = join(import.meta.dirname, '../../../../test/outsiders/pack.py')
const noPython = spawnSync('python3', ['-c', 'pass']).status !== 0

/** Identifiers and types that clients may choose and that must stay text. */
const HOSTILE: [id: string, type: string][] = [
  ['../../../etc/passwd', 'text/plain'],
  ['/etc/shadow', 'text/html'],
  ['..\\..\\x', '../../x'],
  ['<script>alert(1)</script>', 'text/html'],
  ['</script><img src=x onerror=alert(1)>', '"><script>alert(2)</script>'],
  ["=cmd|' /C calc'!A0", 'text/csv'],
  ['@SUM(1+1)*cmd', '+1'],
  ['x;=HYPERLINK("http://evil")', 'text/plain; =1+1'],
  ['"quoted",""', 'a,b'],
  ['\u202egnp.exe', 'image/png'],
  ['line\u2028separator', 'x/y'],
  ['x'.repeat(256), 'y'.repeat(255)],
  ['Größe 𝄞', 'text/плоский'],
  ['A', 'text/plain'],
  ['a', 'text/plain'],
  ['__proto__', '__proto__'],
]

function hostileRecords(): RecordContent[] {
  const records = testRecords(300)
  HOSTILE.forEach(([id, type], i) => Object.assign(records[20 + i]!, { id, type }))
  // This record has three entries, which cross the end of the first bundle.
  records[250]!.payload = Buffer.alloc(150_000, 'large ')
  records[7]!.payload = new Uint8Array()
  return records
}

async function python(pack: string): Promise<string> {
  const { status, stdout, stderr } = spawnSync('python3', ['-I', PYTHON, pack], { encoding: 'utf8' })
  expect({ status, stderr }).toEqual({ status: 0, stderr: '' })
  return stdout
}

const json = async (...path: string[]): Promise<any> => JSON.parse(await readFile(at(...path), 'utf8'))

describe('examine', () => {
  it.skipIf(noPython)(
    `packs every record, and an independent verifier accepts the pack${noPython ? ' (skipped: no python3)' : ''}`,
    async () => {
      for (const tail of ['grow', 'export'] as const) {
        await makeLedger(at(tail), { records: hostileRecords(), tail })
        const io = await done('examine', at(tail), '--vkey', VKEY, '-o', at(`pack-${tail}`), '--json')
        expect(JSON.parse(io.text())).toMatchObject({
          size: 302,
          recordsRead: 300,
          records: 300,
          pinned: true,
          origin: 'example.org/ledger/test',
        })
        expect(await python(at(`pack-${tail}`))).toBe(
          '300 records of example.org/ledger/test in a tree of 302 entries\n',
        )
      }
    },
  )

  it.skipIf(noPython)('packs the same files as a zip archive', async () => {
    await makeLedger(at('ledger'), { records: hostileRecords() })
    await done('examine', at('ledger'), '-o', at('pack'))
    const io = await done('examine', at('ledger'), '-o', at('pack.zip'), '--json')
    const { written } = JSON.parse(io.text())
    expect((await stat(at('pack.zip'))).size).toBe(written.bytes)
    const { stderr } = spawnSync('python3', ['-m', 'zipfile', '-e', at('pack.zip'), at('unpacked')])
    expect(stderr.toString()).toBe('')
    expect(await python(at('unpacked'))).toContain('300 records of ')
    const [unpacked, packed] = [await filesBelow(at('unpacked')), await filesBelow(at('pack'))]
    expect(Object.keys(unpacked).sort()).toEqual(Object.keys(packed).sort())
    expect(Object.keys(unpacked)).toHaveLength(written.files)
    for (const name of ['index.csv', 'index.json', 'page/data-1.js', 'ledger/verify.sh'])
      expect(unpacked[name]).toBe(packed[name])
    expect((await readdir(dir)).sort()).toEqual(['ledger', 'pack', 'pack.zip', 'unpacked'])
  })

  it('selects records by time, type and identifier, and states the selection in the report', async () => {
    await makeLedger(at('ledger'), { records: hostileRecords() })
    const { time } = testRecords(101)[100]!
    const cases: [string[], number][] = [
      [['--from', time], 200],
      [['--to', time], 100],
      [['--type', 'text/html'], 2],
      [['--prefix', 'record/25'], 10],
      [['--from', time, '--prefix', '<script>'], 0],
    ]
    for (const [i, [options, count]] of cases.entries()) {
      const io = await done('examine', at('ledger'), ...options, '-o', at(`pack-${i}`), '--json')
      expect(JSON.parse(io.text())).toMatchObject({ records: count, recordsRead: 300 })
      expect(await json(`pack-${i}`, 'index.json')).toHaveLength(count)
      const report = await json(`pack-${i}`, 'report.json')
      expect(report).toMatchObject({ counts: { records: count, entries_read: 302 } })
      expect(report.records).toHaveLength(count)
      if (!noPython) expect(await python(at(`pack-${i}`))).toContain(`${count} records of `)
    }
    expect((await json('pack-4', 'report.json')).selection).toEqual({ from: time, prefix: '<script>' })
    expect(await readFile(at('pack-4/report.html'), 'utf8')).toContain('No record meets the selection.')
  })

  it('selects records by fields of JSON, and states the selection in the report', async () => {
    const records = hostileRecords()
    const value = '<b>"x"</b>'
    for (const i of [30, 250])
      records[i]!.payload = Buffer.from(JSON.stringify({ a: [value], padding: 'x'.repeat(i * 400) }))
    await makeLedger(at('ledger'), { records })
    await done('examine', at('ledger'), '--where', `/a/0=${value}`, '-o', at('pack'))
    const report = await json('pack', 'report.json')
    expect(report.records.map(({ cursor }: { cursor: number }) => cursor)).toEqual([31, 251])
    expect(report.selection).toEqual({ where: [`/a/0=${value}`] })
    const page = await readFile(at('pack/report.html'), 'utf8')
    expect(page).toContain('field <bdi>/a/0</bdi> is <bdi>&lt;b&gt;&quot;x&quot;&lt;/b&gt;</bdi>')
  })

  it('writes no identifier or type into HTML or a script unescaped', async () => {
    await makeLedger(at('ledger'), { records: hostileRecords() })
    await done('examine', at('ledger'), '-o', at('pack'))
    const files = await readdir(at('pack'), { recursive: true })
    for (const name of files.filter((file) => /^(?:report.*\.html|page\/.*\.js)$/.test(file))) {
      const text = await readFile(at('pack', name), 'utf8')
      expect([name, /<script|<img|\u202e|\u2028/.exec(text)]).toEqual([name, null])
    }
    const page = await readFile(at('pack/index.html'), 'utf8')
    expect(page).not.toContain('example.org/ledger/test')
    expect(page.match(/<script/g)).toHaveLength(1)
  })

  it('packs a ledger over HTTP as from its files', async () => {
    await makeLedger(at('ledger'), { records: testRecords(300), tail: 'export' })
    const server = await serveDirectory(at('ledger'))
    try {
      await done('examine', server.url, '--vkey', VKEY, '-o', at('remote'))
      const report = await json('remote', 'report.json')
      expect(report.audit).toEqual({ recorded: 'by-server' })
      expect(report.not_checked.join('\n')).toContain('this pack has no proof of it')
    } finally {
      await server.close()
    }
    await done('examine', at('ledger'), '--vkey', VKEY, '-o', at('local'))
    for (const name of ['index.csv', 'index.json', 'page/data-2.js', 'ledger/checkpoint'])
      expect(await readFile(at('remote', name), 'utf8')).toBe(await readFile(at('local', name), 'utf8'))
  })

  it('lists in the report the checks that it did not make', async () => {
    await makeLedger(at('ledger'), { records: testRecords(3) })
    await done('examine', at('ledger'), '-o', at('shown'))
    const shown = (await json('shown', 'report.json')).not_checked.join('\n')
    expect(shown).toContain('Whether the keys belong to the ledger: the ledger itself gave them.')
    expect(shown).toContain('No earlier checkpoint was given')
    expect(shown).toContain('there is no correction')
    await done('examine', at('ledger'), '--vkey', VKEY, '-o', at('pinned'))
    const pinned = await json('pinned', 'report.json')
    expect(pinned.ledger.keys_pinned).toBe(true)
    expect(pinned.program).toMatch(/^service-fs \d+\.\d+\.\d+ examine$/)
    expect(pinned.checked[0]).toContain(VKEY.split('+')[1])
    expect(pinned.not_checked[0]).toContain('the key that was given to the program')
  })

  it('reports until when each record must be kept, including by duties that were stated later', async () => {
    const records = testRecords(300)
    const duty = (index: number, stated: object): void => {
      const members = { ...stated, reason: 'r', request_id: 'q', subject: 's' } as Duty
      records[index] = {
        id: `vnd.service-fs.duty/${index}`,
        type: DUTY_TYPE,
        time: records[index]!.time,
        fields: [['duty', members.duty]],
        payload: dutyPayload(members, pureCodec),
      }
    }
    records[0]!.fields = [['retain-until', '2031-01-01T00:00:00.000Z']]
    duty(270, { duty: 'policy', prefix: 'record/1', for: 'P6Y' })
    duty(271, { duty: 'hold', hold: 'case-1', prefix: 'record/1' })
    duty(272, { duty: 'hold', hold: 'case-2', payload_id: 'record/0' })
    duty(273, { duty: 'lift', hold: 'case-1' })
    duty(274, { duty: 'hold', hold: 'case-1', all: true })
    await makeLedger(at('ledger'), { records })
    await done('examine', at('ledger'), '--prefix', 'record/', '-o', at('pack'))
    expect((await readdir(at('pack'))).filter((name) => name.includes('tmp'))).toEqual([])
    const report = await json('pack', 'report.json')
    const duties = report.records.slice(0, 3).map((record: any) => record.duty)
    const until = records[1]!.time.replace('2026', '2032')
    expect(duties).toEqual([
      { holds: ['case-2'], until: '2031-01-01T00:00:00.000Z', by: 'retain-until' },
      { holds: [], until, by: 'policy' },
      { holds: [] },
    ])
    expect(report.duties).toMatchObject({
      policies: [{ prefix: 'record/1', years: 6 }],
      holds: [{ hold: 'case-2', payload_id: 'record/0', index: 272, reason: 'r' }],
      without_effect: 1,
      first_without_effect: [275],
    })
    expect(report.checked.join('\n')).toContain('which break a rule and have no effect: 1.')
    expect(report.audit).toEqual({ recorded: 'nowhere' })
    expect(report.not_checked.join('\n')).toContain('It was made from files')
    const html = await readFile(at('pack/report.html'), 'utf8')
    expect(html).toContain('<td>until 2031-01-01T00:00:00.000Z (retain-until), held by case-2</td>')
    expect(html).toContain('<td>No duty</td>')
    const page = await readFile(at('pack/page/index-1.js'), 'utf8')
    expect(page).toContain(`,1,"until ${until} (policy)",""]`)
  })

  it('lists corrections of the clock', async () => {
    const records = testRecords(5)
    const { time } = records[1]!
    const payload = { newest: records[2]!.time, now: time, reason: 'x', request_id: 'y', subject: 'z' }
    records[3] = { id: 'clock', type: CLOCK_TYPE, time, payload: Buffer.from(JSON.stringify(payload)) }
    await makeLedger(at('ledger'), { records })
    await done('examine', at('ledger'), '-o', at('pack'))
    const report = await json('pack', 'report.json')
    expect(report).toMatchObject({ clock_corrections: 1, first_clock_corrections: [{ cursor: 4, time }] })
    expect(report.not_checked.join('\n')).toContain('by the records with the cursors 4: times before')
  })

  it('checks that the ledger extends an earlier checkpoint', async () => {
    const records = testRecords(300)
    const leaves = records.flatMap((record) => entriesOf(record, sha256Hex)).map((e) => nativeHasher.leaf(e))
    await makeLedger(at('ledger'), { records })
    await writeFile(at('earlier'), await checkpointOf(leaves, 100))
    await done('examine', at('ledger'), '--checkpoint', at('earlier'), '-o', at('pack'))
    const report = await json('pack', 'report.json')
    expect(report.ledger.earlier_checkpoints).toMatchObject([{ size: 100 }])
    expect(report.not_checked.join('\n')).not.toContain('No earlier checkpoint')
    await writeFile(at('other'), await checkpointOf(leaves.toReversed(), 100))
    const io = await cli('examine', at('ledger'), '--checkpoint', at('other'), '-o', at('second'))
    expect([io.code, io.errors.join()]).toEqual([
      1,
      expect.stringContaining('extends the earlier checkpoint'),
    ])
    expect(await readdir(dir)).not.toContain('second')
  })

  it('refuses a ledger that was changed, and leaves nothing behind', async () => {
    await makeLedger(at('ledger'), { records: testRecords(600), tail: 'export' })
    const path = at('ledger/tile/entries/001.b64')
    const lines = (await readFile(path, 'latin1')).split('\n')
    const entry = Buffer.from(lines[99]!, 'base64')
    entry[entry.length - 1]! ^= 1
    lines[99] = entry.toString('base64')
    await writeFile(path, lines.join('\n'))
    const io = await cli('examine', at('ledger'), '-o', at('pack'))
    expect([io.code, io.errors.join()]).toEqual([1, expect.stringContaining('entry 355: expected leaf hash')])
    const archive = await cli('examine', at('ledger'), '-o', at('pack.zip'))
    expect(archive.code).toBe(1)
    expect(await readdir(dir)).toEqual(['ledger'])
  })

  it('refuses a checkpoint of another key', async () => {
    await makeLedger(at('ledger'), { records: testRecords(3) })
    const io = await cli('examine', at('ledger'), '--vkey', testSigner(undefined, 9).vkey, '-o', at('pack'))
    expect(io.code).toBe(1)
    expect(await readdir(dir)).toEqual(['ledger'])
  })

  it('does not overwrite anything', async () => {
    await makeLedger(at('ledger'), { records: testRecords(3) })
    await mkdir(at('pack'))
    await cp(at('ledger/origin'), at('pack/mine'))
    const io = await cli('examine', at('ledger'), '-o', at('pack'), '--json')
    expect([io.code, JSON.parse(io.errors.join())]).toMatchObject([3, { error: { code: 'file' } }])
    expect(await readdir(at('pack'))).toEqual(['mine'])
  })

  it.each([
    [['--from', 'yesterday'], '--from: expected RFC 3339'],
    [['--from', '2026-11-22T00:00:00.000Z', '--to', '2026-11-21T00:00:00.000Z'], '--to: expected a time'],
    [['--type', ''], '--type: expected 1 to 255 bytes'],
    [['--prefix', ''], '--prefix: expected 1 to 256 bytes'],
  ])('refuses the selection %j', async (options, message) => {
    const io = await cli('examine', at('ledger'), ...options, '-o', at('pack'))
    expect([io.code, io.errors.join()]).toEqual([2, expect.stringContaining(message)])
  })
})
