import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, expect, it } from 'vitest'
import { Connection } from './http.ts'
import {
  makeLedger,
  remove,
  serveDirectory,
  temporary,
  testRecords,
  testSigner,
  type TestServer,
} from './testing.ts'
import { TrustedTree } from './tree.ts'
import { treeRecords } from './tree-records.ts'
import { httpSource } from './source.ts'
import { Trust } from './trust.ts'
import { verifyUrl } from './verify-url.ts'

const cleanups: (() => Promise<void>)[] = []

afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup()
})

async function served(
  size: number,
  tail: 'grow' | 'export' = 'grow',
): Promise<{ dir: string; server: TestServer; connection: Connection }> {
  const dir = await temporary()
  await makeLedger(dir, { records: testRecords(size), tail })
  const server = await serveDirectory(dir)
  const connection = new Connection(server.url)
  cleanups.push(
    () => remove(dir),
    () => server.close(),
    () => connection.close(),
  )
  return { dir, server, connection }
}

it('verify checks every full and partial tile of a static host without proofs', async () => {
  for (const size of [0, 1, 256, 257, 700]) {
    const { server, connection } = await served(size)
    const report = await verifyUrl(connection, { vkeys: [testSigner().vkey] })
    expect(report.problems, `size ${size}`).toEqual([])
    expect(report).toMatchObject({ ok: true, entries: size, records: size, pinned: true })
    if (size === 700)
      expect(server.asked).toEqual(
        expect.arrayContaining(['/tile/0/002.p/188', '/tile/1/000.p/2', '/tile/entries/002.p/188']),
      )
  }
})

it('verify reports a wrong tile and a wrong entry', async () => {
  const { dir, connection } = await served(700, 'export')
  const file = join(dir, 'tile/entries/001.b64')
  const lines = (await readFile(file, 'latin1')).split('\n')
  lines[3] = Buffer.from(Buffer.from(lines[3] ?? '', 'base64').toString() + '!').toString('base64')
  await writeFile(file, lines.join('\n'))
  const report = await verifyUrl(connection)
  expect(report.problems).toMatchObject([{ file: 'tile/entries/001', line: 4, index: 259 }])
  expect(report).toMatchObject({ ok: false, pinned: false })
})

it('verify refuses a checkpoint of another key', async () => {
  const { connection } = await served(5)
  const vkeys = [testSigner('example.org/ledger/test', 8).vkey]
  await expect(verifyUrl(connection, { vkeys })).rejects.toMatchObject({ code: 'false' })
})

it('a tree verifies entries from the root down, and stops at the first entry that does not verify', async () => {
  const { dir, connection } = await served(700, 'export')
  const source = httpSource(connection)
  const { checkpoint } = Trust.shown([testSigner().vkey], 'test').openPublished(await source.checkpoint())
  const ids: string[] = []
  for await (const found of treeRecords(await TrustedTree.open(source, checkpoint))) ids.push(found.id)
  expect(ids).toEqual(testRecords(700).map(({ id }) => id))
  const tree = await TrustedTree.open(source, checkpoint)
  expect(await tree.leaf(699)).toHaveLength(44)
  const file = join(dir, 'tile/0/001.b64')
  const lines = (await readFile(file, 'latin1')).split('\n')
  lines[0] = lines[1] ?? ''
  await writeFile(file, lines.join('\n'))
  const again = await TrustedTree.open(source, checkpoint)
  await expect(again.leaf(0)).resolves.toHaveLength(44)
  await expect(again.leaf(300)).rejects.toMatchObject({ code: 'false' })
  await expect(again.bundle(1)).rejects.toMatchObject({ code: 'false' })
  await expect(TrustedTree.open(source, { ...checkpoint, root: await tree.leaf(0) })).rejects.toMatchObject({
    code: 'false',
  })
})
