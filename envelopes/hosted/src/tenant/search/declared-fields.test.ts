// Tests a daemon whose operator declares fields for searches.
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { SearchField } from '@service-fs/format/json-fields'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { start, type Daemon } from '../daemon.ts'

let root = ''
let daemon: Daemon | undefined

beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'declared-'))
})
afterEach(async () => {
  await daemon?.stop()
  daemon = undefined
  await rm(root, { recursive: true, force: true })
})

async function begin(searchFields?: readonly SearchField[]): Promise<void> {
  await daemon?.stop()
  const place = { moduleId: 'acme', root, listen: { host: '127.0.0.1', port: 0 }, origin: undefined }
  daemon = await start({ ...place, ...(searchFields === undefined ? {} : { searchFields }) }, () => undefined)
}

async function ask(path: string, init?: RequestInit): Promise<any> {
  const response = await fetch(`${daemon?.url}t/acme/${path}`, init)
  return response.json()
}

/** Returns the lines of the metrics of the search index. */
async function shown(): Promise<string[]> {
  const text = await (await fetch(`${daemon?.url}metrics`)).text()
  return text.split('\n').filter((line) => line.startsWith('service_fs_search_'))
}

const ids = ({ hits }: { hits: { payload_id: string }[] }): string[] => hits.map((hit) => hit.payload_id)

it('a daemon finds records by the declared fields, also after a restart with other ones', async () => {
  await begin([{ type: 'application/json', pointer: '/customer/id' }])
  const lines = Array.from({ length: 600 }, (_, i) =>
    JSON.stringify({ payload_id: `r${i}`, payload: { customer: { id: i % 300 }, paid: i < 2 } }),
  )
  const headers = { 'content-type': 'application/x-ndjson' }
  await ask('v1/append', { method: 'POST', headers, body: lines.join('\n') })
  expect(ids(await ask('v1/search?where=/customer/id=7'))).toEqual(['r7', 'r307'])
  expect(await ask('v1/search?where=/paid=true')).toMatchObject({
    code: 'bad-request',
    field: 'where',
    supplied: '/paid',
  })
  await begin([
    { type: 'application/json', pointer: '/paid' },
    { type: 'application/vnd.service-fs.read+json', pointer: '/route' },
  ])
  expect(ids(await ask('v1/search?where=/paid=true'))).toEqual(['r0', 'r1'])
  expect(await ask('v1/search?where=/customer/id=7')).toMatchObject({ code: 'bad-request' })
  // The audit sub-ledger has records of its own types.
  expect(ids(await ask('audit/v1/search?where=/route=/v1/search'))).toHaveLength(2)
  await begin()
  expect(await ask('v1/search?where=/paid=true')).toMatchObject({
    expected: 'nothing, because no field is declared',
  })
})

it('a daemon shows the state of the search index in its metrics', async () => {
  await begin()
  expect(await shown()).toEqual([
    'service_fs_search_indexed_entries{ledger="main",tenant="acme"} 0',
    'service_fs_search_indexed_entries{ledger="audit",tenant="acme"} 0',
    'service_fs_search_index_bytes{ledger="main",tenant="acme"} 0',
    'service_fs_search_index_bytes{ledger="audit",tenant="acme"} 0',
    'service_fs_search_indexing{ledger="main",tenant="acme"} 0',
    'service_fs_search_indexing{ledger="audit",tenant="acme"} 0',
  ])
})
