// Tests that with `serve --public-reads`, reads are not recorded, and the audit sub-ledger says so.
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { start, type Daemon } from './daemon.ts'

let root: string
let daemon: Daemon | undefined
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'reads-'))
})
afterEach(async () => {
  await daemon?.stop()
  daemon = undefined
  await rm(root, { recursive: true, force: true })
})

async function begin(publicReads: boolean): Promise<Daemon> {
  await daemon?.stop()
  const listen = { host: '127.0.0.1', port: 0 }
  daemon = await start({ moduleId: 'acme', root, listen, origin: undefined, publicReads }, () => undefined)
  await daemon.tenant.ledger.ready()
  return daemon
}

/** Returns the notices in the audit sub-ledger with their indexes. */
async function notices({ tenant }: Daemon): Promise<[number, string][]> {
  const found: [number, string][] = []
  for await (const { index, type, payload, id } of tenant.audit.records(0)) {
    if (type !== 'application/vnd.service-fs.reads+json') continue
    const { reads, when } = JSON.parse(Buffer.from(payload).toString()) as { reads: string; when: string }
    expect([id, new Date(when).toISOString()]).toEqual([`reads-${found.length + 1}`, when])
    found.push([index, reads])
  }
  return found
}

const read = async ({ url }: Daemon, path: string): Promise<Response> => fetch(`${url}t/acme${path}`)

it('a daemon writes a notice before the first unrecorded read and after each change of the setting, and no other', async () => {
  const recorded = await begin(false)
  expect((await read(recorded, '/v1/entries')).headers.get('x-audit-index')).toBe('0')
  expect(await (await read(recorded, '/v1/contract')).json()).toMatchObject({ reads: 'recorded' })
  expect(await notices(recorded)).toEqual([])
  for (let i = 0; i < 2; i++) {
    const open = await begin(true)
    expect(open.tenant.audit.size).toBe(3)
    const answer = await read(open, '/v1/contract')
    expect(answer.headers.get('x-audit-index')).toBe(null)
    expect(await answer.json()).toMatchObject({ reads: 'public', audit: { origin: `${open.origin}/audit` } })
    expect(await notices(open)).toEqual([[2, 'public']])
  }
  for (let i = 0; i < 2; i++) {
    const again = await begin(false)
    await expect
      .poll(() => notices(again))
      .toEqual([
        [2, 'public'],
        [3, 'recorded'],
      ])
    expect((await read(again, '/v1/entries')).headers.get('x-audit-index')).toBe(String(4 + i))
  }
  expect(await notices(await begin(true))).toEqual([
    [2, 'public'],
    [3, 'recorded'],
    [6, 'public'],
  ])
})

it('a daemon records reads of the audit sub-ledger', async () => {
  const open = await begin(true)
  const answer = await read(open, '/audit/v1/entries')
  expect([answer.status, answer.headers.get('x-audit-index')]).toEqual([200, '1'])
  const { entries } = (await answer.json()) as { entries: { payload: object }[] }
  expect(entries).toMatchObject([{ payload_id: 'reads-1', payload: { reads: 'public' } }])
})
