// A tenant of a host demands the signatures of authors, by `authors` in host.json.
import { chmodSync, copyFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import {
  fingerprint,
  makeAuthor,
  makeCertificate,
  signJws,
  type Identity,
} from '../../packages/author/src/testing.ts'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { startHost, type Host } from '../support/host.ts'

const PAYLOAD = '{"total":12}'

const dir = mkdtempSync(join(tmpdir(), 'authors-'))
const { root, author } = makeAuthor(dir)
const stranger = makeCertificate(dir, 'stranger')

let host: Host
beforeAll(async () => {
  host = await startHost({ tenants: ['demands', 'other'], prepare: demandSignatures })
})
afterAll(async () => {
  await host?.dispose()
  rmSync(dir, { recursive: true, force: true })
})

/** Lets the tenant `demands` demand signatures of records whose type begins with `application/json`. */
async function demandSignatures(place: string): Promise<void> {
  const anchors = join(place, 'authors.pem')
  copyFileSync(root.certificate, anchors)
  chmodSync(anchors, 0o644)
  const file = join(place, 'host.json')
  const config = JSON.parse(readFileSync(file, 'utf8')) as { tenants: { moduleId: string }[] }
  const authors = { anchors: 'authors.pem', require: ['application/json'] }
  const tenants = config.tenants.map((one) => (one.moduleId === 'demands' ? { ...one, authors } : one))
  writeFileSync(file, JSON.stringify({ ...config, tenants }))
}

async function append(
  moduleId: string,
  id: string,
  { by, type = 'application/json' }: { by?: Identity; type?: string } = {},
): Promise<{ status: number; json: any }> {
  const headers: Record<string, string> = { 'content-type': type, 'x-payload-id': id }
  if (by !== undefined) headers['x-signature'] = signJws(Buffer.from(PAYLOAD), by)
  const answer = await host.fetch(moduleId, 'v1/append', { method: 'POST', headers, body: PAYLOAD })
  return { status: answer.status, json: await answer.json() }
}

it('a tenant refuses a record without a signature, or with one that leads to no anchor', async () => {
  const without = await append('demands', 'a')
  expect([without.status, without.json.code]).toEqual([403, 'signature-required'])
  const unknown = await append('demands', 'a', { by: stranger })
  expect([unknown.status, unknown.json.code]).toEqual([400, 'bad-signature'])
  const looked = await host.fetch('demands', 'v1/records/a')
  expect(looked.status).toBe(404)
})

it('a tenant accepts a signature that leads to an anchor, and names the anchor', async () => {
  const { status, json } = await append('demands', 'signed', { by: author })
  expect([status, json.code]).toEqual([200, undefined])
  const anchor = fingerprint(root.certificate)
  expect(json.author).toMatchObject({ subject: expect.stringContaining('Alice'), anchor })
  const read = await (await host.fetch('demands', 'v1/records/signed')).json()
  expect(read).toMatchObject({ payload_id: 'signed', author: { anchor } })
})

it('a tenant demands no signatures of records of other types, nor of other tenants', async () => {
  expect((await append('demands', 'text', { type: 'text/plain' })).status).toBe(200)
  expect((await append('other', 'a')).status).toBe(200)
  // Without anchors, any certificate will do.
  const { status, json } = await append('other', 'b', { by: stranger })
  expect([status, json.author?.anchor]).toEqual([200, undefined])
})
