// Exports and restored ledgers hold the second trees of their source.
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { filesBelow, serveDirectory } from '@service-fs/client/testing'
import { makeBoundLedger } from '@service-fs/client/testing-second-tree'
import { verifyDirectory } from '@service-fs/client/verify-directory'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { serviceFsCommand } from '../support/daemon.ts'

let work = ''

beforeAll(() => {
  work = mkdtempSync(join(tmpdir(), 'service-fs-second-trees-'))
})

afterAll(() => rmSync(work, { recursive: true, force: true }))

function treeFiles(files: Record<string, string>): Record<string, string> {
  return Object.fromEntries(Object.entries(files).filter(([path]) => path.startsWith('sha2-512/')))
}

it('an export and a restored ledger have the second trees', async () => {
  const dir = join(work, 'source')
  await makeBoundLedger(dir, { algorithm: 'sha2-512', before: 500, after: 40, bound: 300, size: 530 })
  const source = treeFiles(await filesBelow(dir))
  expect(Object.keys(source)).toHaveLength(5)
  for (const [command, from, to] of [
    ['export', dir, 'export'],
    ['restore', join(work, 'export'), 'restored'],
  ] as const) {
    const out = join(work, to)
    expect(await serviceFsCommand([command, from, '--out', out])).toMatchObject({ code: 0 })
    expect(treeFiles(await filesBelow(out))).toEqual(source)
    expect(await verifyDirectory(out)).toMatchObject({ ok: true, trees: [{ size: 530, tiles: 2 }] })
  }
})

it('an export of a URL leaves out the second tree, and states so', async () => {
  const dir = join(work, 'served')
  await makeBoundLedger(dir, { algorithm: 'sha3-256', before: 20, after: 4 })
  const server = await serveDirectory(dir)
  const out = join(work, 'from-url')
  try {
    expect(await serviceFsCommand(['export', server.url, '--out', out, '--no-audit'])).toMatchObject({
      code: 0,
    })
  } finally {
    await server.close()
  }
  const report = await verifyDirectory(out)
  expect(report.problems).toEqual([])
  expect(report.notes).toContainEqual('sha3-256: this copy leaves out the second tree')
})
