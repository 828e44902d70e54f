import { existsSync } from 'node:fs'
import { mkdir, readFile, readlink, stat, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { DIRECTORY_TYPE, LINK_TYPE, typeOf, walkFiles, type FoundFile } from './files.ts'
import { Restorer, pathProblem } from './record-files.ts'
import { remove, temporary, writeBelow } from '@service-fs/client/testing'

let base = ''

beforeEach(async () => {
  base = await temporary()
})
afterEach(() => remove(base))

function record(
  id: string,
  content = 'x',
  type = 'text/plain',
): { id: string; type: string; payload: Uint8Array } {
  return { id, type, payload: Buffer.from(content) }
}

async function restore(...records: ReturnType<typeof record>[]): Promise<Restorer> {
  const restorer = new Restorer(join(base, 'out'))
  for (const one of records) await restorer.write(one)
  await restorer.finish()
  return restorer
}

it('the restorer refuses ids that are not paths below the directory', async () => {
  for (const id of ['/etc/passwd', '..', '../x', 'a/../../x', 'a/..', './a', 'a//b', 'a/', '.']) {
    expect(pathProblem(id), id).toBeDefined()
  }
  for (const id of ['a', 'a/b', '...', 'a..b', '.hidden', 'C:\\x'])
    expect(pathProblem(id), id).toBeUndefined()
  const { refused, written } = await restore(record('../out2/x'), record('/tmp/x'), record('fine'))
  expect(refused.map(({ id }) => id)).toEqual(['../out2/x', '/tmp/x'])
  expect(written).toBe(1)
  expect(existsSync(join(base, 'out2'))).toBe(false)
})

it('the restorer writes nothing through a symbolic link, even if it made the link itself', async () => {
  await mkdir(join(base, 'victim'))
  const links = await restore(record('link', '../victim', LINK_TYPE), record('link/x', 'evil'))
  expect(existsSync(join(base, 'victim/x'))).toBe(false)
  expect(links.refused.map(({ id }) => id)).toEqual(['link'])
  await symlink(join(base, 'victim'), join(base, 'out/before'))
  const before = await restore(record('before/x', 'evil'))
  expect(before.refused).toHaveLength(1)
  await symlink(join(base, 'victim/file'), join(base, 'out/file'))
  expect((await restore(record('file', 'evil'))).refused).toHaveLength(1)
  expect(existsSync(join(base, 'victim/file'))).toBe(false)
})

it('the restorer does not overwrite a file', async () => {
  await writeBelow(base, 'out/same', 'x')
  await writeBelow(base, 'out/other', 'y')
  const { refused, written } = await restore(
    record('same'),
    record('other'),
    record('same/below'),
    record('a'.repeat(256)),
  )
  expect(written).toBe(1)
  expect(refused.map(({ id }) => id)).toEqual(['other', 'same/below', 'a'.repeat(256)])
  expect(await readFile(join(base, 'out/other'), 'utf8')).toBe('y')
})

it('files, links and empty directories become records, and the restorer makes the same files of them', async () => {
  const tree = join(base, 'tree')
  await writeBelow(tree, 'b/c.json', '{ "not": "canonical" }')
  await writeBelow(tree, 'b/empty', '')
  await writeBelow(tree, 'a.TXT', 'ü')
  await mkdir(join(tree, 'none'))
  await symlink('../a.TXT', join(tree, 'b/link'))
  await symlink('nowhere', join(tree, 'dangling'))
  await writeFile(Buffer.concat([Buffer.from(join(tree, 'bad')), Buffer.of(0xff)]), 'x')
  await writeBelow(tree, 'line\nfeed', 'x')
  const refused: string[] = []
  const found: FoundFile[] = []
  const options = { refused: (_: string, reason: string) => void refused.push(reason) }
  const payloads: Uint8Array[] = []
  for await (const file of walkFiles(tree, options)) {
    found.push(file)
    payloads.push(await file.read(1_000))
  }
  expect(found.map(({ id, type }) => [id, type])).toEqual([
    ['tree/a.TXT', 'text/plain'],
    ['tree/b/c.json', 'application/json'],
    ['tree/b/empty', 'application/octet-stream'],
    ['tree/b/link', LINK_TYPE],
    ['tree/dangling', LINK_TYPE],
    ['tree/none', DIRECTORY_TYPE],
  ])
  expect(refused).toEqual(['its name is not UTF-8', 'as an id: expected no control characters'])
  const restorer = new Restorer(join(base, 'out'))
  for (const [i, file] of found.entries())
    await restorer.write({ ...file, payload: payloads[i] as Uint8Array })
  await restorer.finish()
  expect(restorer).toMatchObject({ refused: [], written: 6 })
  expect(await readlink(join(base, 'out/tree/b/link'))).toBe('../a.TXT')
  expect((await stat(join(base, 'out/tree/none'))).isDirectory()).toBe(true)
  expect(await readFile(join(base, 'out/tree/b/c.json'), 'utf8')).toBe('{ "not": "canonical" }')
})

it('append reports a missing file, and finds the media type by the extension', async () => {
  const refused: string[] = []
  for await (const file of walkFiles(join(base, 'gone'), { refused: (path) => void refused.push(path) }))
    refused.push(file.id)
  expect(refused).toEqual([join(base, 'gone')])
  expect(typeOf('x.PDF')).toBe('application/pdf')
  expect(typeOf('.txt')).toBe('application/octet-stream')
})
