// `get` with --author-anchors writes only records with an author's signature that leads to an anchor.
import { readdirSync, readFileSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { makeAuthor, makeCertificate, signJws, type Identity } from '../../packages/author/src/testing.ts'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { serviceFsCommand, startDaemon, type Daemon } from '../support/daemon.ts'

const PAYLOAD = '{"total":12}'

const dir = mkdtempSync(join(tmpdir(), 'author-anchors-'))
const { root, author } = makeAuthor(dir)
const stranger = makeCertificate(dir, 'stranger')

let daemon: Daemon
beforeAll(async () => {
  daemon = await startDaemon()
  await append('order/plain')
  await append('order/signed', author)
  await append('order/stranger', stranger)
})
afterAll(async () => {
  await daemon?.dispose()
  rmSync(dir, { recursive: true, force: true })
})

async function append(id: string, by?: Identity): Promise<void> {
  const headers: Record<string, string> = { 'content-type': 'application/json', 'x-payload-id': id }
  if (by !== undefined) headers['x-signature'] = signJws(Buffer.from(PAYLOAD), by)
  const answer = await daemon.fetch('/v1/append', { method: 'POST', headers, body: PAYLOAD })
  expect([answer.status, await answer.text()]).toEqual([200, expect.any(String)])
}

function get(...args: string[]) {
  const anchors = ['--author-anchors', root.certificate, '--url', daemon.url, '--module-id', 'test']
  return serviceFsCommand(['get', ...args, ...anchors])
}

it('get prints a record whose signature leads to an anchor', async () => {
  expect(await get('--id', 'order/signed')).toMatchObject({ code: 0, stdout: PAYLOAD })
})

it.each([
  ['order/plain', 'expected a signature of its author, found none'],
  ['order/stranger', 'found one that is not anchored'],
])('get refuses %s, and names it', async (id, reason) => {
  const { code, stdout, stderr } = await get('--id', id)
  expect([code, stdout]).toEqual([1, ''])
  expect(stderr).toContain(`${id}: `)
  expect(stderr).toContain(reason)
})

it('get writes the records whose signatures lead to an anchor, and names the records that it refuses', async () => {
  const out = join(dir, 'out')
  const { code, stdout, stderr } = await get('--prefix', 'order/', '--out', out)
  expect(code).toBe(3)
  expect(stderr).toContain('order/stranger: expected a valid signature')
  expect(stdout).toContain('1 records written')
  expect(stdout).toContain('1 left out that no author signed, 1 refused')
  expect(readdirSync(join(out, 'order'))).toEqual(['signed'])
  expect(readFileSync(join(out, 'order/signed'), 'utf8')).toBe(PAYLOAD)
})

it('get counts the signature of a refused record with that record, not as a record that no author signed', async () => {
  const { code, stdout } = await get('--all', '--out', join(dir, 'all'))
  expect([code, stdout]).toEqual([3, expect.stringMatching(/^2 records written, /)])
  expect(stdout).toContain('1 left out that no author signed, 1 refused')
})

it('cannot be combined with --no-verify', async () => {
  expect(await get('--id', 'order/signed', '--no-verify')).toMatchObject({ code: 2 })
})
