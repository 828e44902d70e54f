// Tests kill -9 followed by damage to the record index: each identifier is recorded once, and the daemon still finds its record.
import { readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { DAMAGES, type Damage } from '@service-fs/hosted/tenant/records/testing'
import { Random } from '@service-fs/storage/random'
import { expect, it } from 'vitest'
import { serviceFsCommand, startDaemon, type Daemon } from '../support/daemon.ts'

const RECORDS = 600

interface Answer {
  entries: { cursor: number; duplicate: boolean }[]
}

function append(
  daemon: Daemon,
  records: readonly { payload_id: string; payload: unknown }[],
): Promise<Response> {
  return daemon.fetch('/v1/append', {
    method: 'POST',
    headers: { 'content-type': 'application/x-ndjson' },
    body: records.map((record) => JSON.stringify(record)).join('\n'),
  })
}

const records = (from: number, to: number, text: string): { payload_id: string; payload: unknown }[] =>
  Array.from({ length: to - from }, (_, i) => ({ payload_id: `record-${from + i}`, payload: { text } }))

/** Appends every record again: the same payload is a duplicate, another payload with its identifier a conflict. */
async function expectKnown(daemon: Daemon, count: number): Promise<void> {
  for (let from = 0; from < count; from += 200) {
    const same = await append(daemon, records(from, Math.min(count, from + 200), 'one'))
    expect(same.status).toBe(200)
    const { entries } = (await same.json()) as Answer
    expect(entries.filter(({ duplicate }) => !duplicate)).toEqual([])
    expect(entries[0]?.cursor).toBe(from + 1)
  }
  for (let at = 0; at < count; at += 37)
    expect((await append(daemon, records(at, at + 1, 'another'))).status).toBe(409)
}

it('the daemon appends no record twice, whatever damage the record index has', async () => {
  const random = new Random(77)
  let daemon = await startDaemon()
  const index = join(daemon.dir, 'cache/records')
  try {
    let count = 0
    for (const [name, damage] of [
      ...Object.entries(DAMAGES),
      ['is gone', undefined] as [string, Damage | undefined],
    ]) {
      expect((await append(daemon, records(count, count + RECORDS, 'one'))).status, name).toBe(200)
      count += RECORDS
      // A clean stop writes a run of all records; later records are in memory only.
      await daemon.kill()
      daemon = await daemon.restart()
      expect((await append(daemon, records(count, count + 10, 'one'))).status).toBe(200)
      count += 10
      await daemon.kill('SIGKILL')
      const runs = await readdir(index)
      expect(runs.length).toBeGreaterThan(0)
      const path = join(index, runs[random.below(runs.length)] as string)
      const other = await readFile(join(index, runs[random.below(runs.length)] as string))
      if (damage === undefined) await rm(join(daemon.dir, 'cache'), { recursive: true })
      else await writeFile(path, damage(await readFile(path), random, other))
      daemon = await daemon.restart()
      await expectKnown(daemon, count)
    }
    expect((await (await daemon.fetch('/checkpoint')).text()).split('\n')[1]).toBe(String(count))
    await daemon.kill()
    const verified = await serviceFsCommand(['verify', daemon.dir, '--json'])
    expect(verified.stdout + verified.stderr).toContain('"ok":true')
  } finally {
    await daemon.dispose()
  }
})
