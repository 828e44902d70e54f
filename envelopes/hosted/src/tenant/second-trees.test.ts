import { createHash } from 'node:crypto'
import { mkdir, mkdtemp, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, relative } from 'node:path'
import { TREE_TYPE, type TreeAlgorithm } from '@service-fs/format/tree-binding'
import { problemText } from '@service-fs/client/problems'
import { verifyDirectory } from '@service-fs/client/verify-directory'
import type { ShownTree } from '@service-fs/wire/shown-trees'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { openTenant, type Tenant } from './tenant.ts'

/** `npm test` builds over fewer entries; see test/sets.mjs. */
const QUICK = process.env['QUICK'] === '1'

let root = ''
let tenant: Tenant | undefined
const warnings: string[] = []

beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'second-trees-'))
  warnings.length = 0
})
afterEach(async () => {
  await tenant?.close()
  tenant = undefined
  await rm(root, { recursive: true, force: true })
})

function warn(message: string, fields: object): void {
  warnings.push(`${message} ${JSON.stringify(fields)}`)
}

async function open(options: { readOnly?: boolean } = {}): Promise<Tenant> {
  tenant = await openTenant({ moduleId: 'acme', root, warn, ...options })
  await tenant.ledger.ready()
  return tenant
}

async function close(): Promise<void> {
  await tenant?.close()
  tenant = undefined
}

async function ask(method: 'GET' | 'POST', path: string, body = ''): Promise<{ status: number; json: any }> {
  const fields: Record<string, string> = { 'x-foundry-module-id': 'acme', 'content-type': 'application/json' }
  const answer = await (tenant as Tenant).wire.handle({
    method,
    target: path,
    header: (name) => fields[name],
    body: Buffer.from(body),
  })
  return { status: answer.status, json: JSON.parse(Buffer.from(answer.body as string).toString()) }
}

async function begin(hash: TreeAlgorithm): Promise<ShownTree> {
  const { status, json } = await ask('POST', '/v1/rehash', JSON.stringify({ hash }))
  expect([status, json.code]).toEqual([200, undefined])
  return json
}

/** Resolves when the condition holds for the tree, or the tree has failed. */
async function until(hash: TreeAlgorithm, is: (tree: ShownTree) => boolean): Promise<ShownTree> {
  for (;;) {
    const tree = (await shown()).find((one) => one.hash === hash)
    if (tree?.state === 'failed' || (tree !== undefined && is(tree))) return tree
    await new Promise((resolve) => setImmediate(resolve))
  }
}

/** Resolves when the tree is bound, and it and its checkpoint cover the log. */
function kept(hash: TreeAlgorithm): Promise<ShownTree> {
  return until(hash, (tree) => {
    const { state, size, signed_size: signed, log_size: log } = tree
    return state === 'kept' && size === log && signed === log
  })
}

async function shown(): Promise<ShownTree[]> {
  return (await ask('GET', '/v1/trees')).json.trees
}

let number = 0

async function append(count: number): Promise<void> {
  for (let left = count; left > 0; left -= 1000) {
    const records = Array.from({ length: Math.min(1000, left) }, () => ({
      id: `r${++number}`,
      type: 'text/plain',
      payload: Buffer.from(`text ${number}`),
    }))
    await tenant?.ledger.append(records)
  }
}

/** Returns the problems that `verify` finds in the ledger as it is now, and its reports about the trees. */
async function verified(): Promise<{ problems: string[]; bound: number[][] }> {
  const { problems, trees = [] } = await verifyDirectory(join(root, 'acme'))
  return { problems: problems.map(problemText), bound: trees.map(({ boundAt }) => boundAt) }
}

/** Returns the hashes of the sealed files, by path. */
async function sealed(): Promise<Map<string, string>> {
  const dir = join(root, 'acme')
  const found = new Map<string, string>()
  for (const entry of await readdir(dir, { recursive: true, withFileTypes: true })) {
    const path = relative(dir, join(entry.parentPath, entry.name))
    if (
      !entry.isFile() ||
      !/^(tile|keys|origin|README|verify|audit\/(tile|keys|origin|README|verify))/.test(path)
    )
      continue
    found.set(
      path,
      createHash('sha256')
        .update(await readFile(join(dir, path)))
        .digest('hex'),
    )
  }
  return found
}

describe('a second tree', () => {
  it.each(['sha3-256', 'sha2-512', 'blake3'] as const)(
    'builds, binds, keeps and verifies a second tree with %s',
    async (hash) => {
      await open()
      await append(600)
      const begun = await begin(hash)
      expect(begun).toMatchObject({ hash, origin: `service-fs.local/ledger/acme/${hash}` })
      const tree = await kept(hash)
      expect(tree).toMatchObject({
        state: 'kept',
        bound: { index: 600, size: 600 },
        size: 601,
        signed_size: 601,
      })
      expect(await verified()).toEqual({ problems: [], bound: [[600]] })
      await append(500)
      await kept(hash)
      await close()
      expect(await verified()).toEqual({ problems: [], bound: [[600]] })

      await open()
      await append(10)
      expect(await kept(hash)).toMatchObject({ bound: { index: 600, size: 600 }, signed_size: 1111 })
      // A repeated request changes nothing.
      expect(await begin(hash)).toMatchObject({ state: 'kept', bound: { index: 600, size: 600 } })
      await close()
      expect(await verified()).toEqual({ problems: [], bound: [[600]] })
      expect(warnings).toEqual([])
    },
  )

  it('loses no append and changes no earlier file while a second tree is built under load', async () => {
    const { ledger } = await open()
    await append(QUICK ? 5_000 : 100_000)
    const size = ledger.size
    const before = await sealed()
    await begin('sha3-256')
    const seen = { isBound: false }
    const building = until('sha3-256', ({ state }) => state === 'kept').then((tree) => {
      seen.isBound = true
      return tree
    })
    const acknowledged: { id: string; index: number }[] = []
    const client = async (name: number): Promise<void> => {
      for (let i = 0; i < 40 || !seen.isBound; i++) {
        const id = `load-${name}-${i}`
        const { entries } = await ledger.append([{ id, type: 'text/plain', payload: Buffer.from(id) }])
        acknowledged.push({ id, index: entries[0]?.index ?? -1 })
      }
    }
    await Promise.all([0, 1, 2, 3].map(client))
    const { bound } = await building
    await close()
    const after = await sealed()
    for (const [path, hash] of before) expect([path, after.get(path)]).toEqual([path, hash])
    expect(await verified()).toEqual({ problems: [], bound: [[bound?.index]] })
    expect(bound?.size).toBeGreaterThanOrEqual(size)

    const again = await open()
    const lost = []
    for (const { id, index } of acknowledged) if ((await again.ledger.record(index)).id !== id) lost.push(id)
    expect(lost).toEqual([])
    const others = []
    for await (const { id, type } of again.ledger.records(size))
      if (!id.startsWith('load-')) others.push(type)
    expect(others).toEqual([TREE_TYPE])
  })

  it('keeps several second trees, and binds those of an empty ledger', async () => {
    await open()
    await begin('sha3-256')
    await begin('blake3')
    await append(300)
    await kept('sha3-256')
    await kept('blake3')
    await close()
    expect((await verified()).problems).toEqual([])
    await open()
    expect((await shown()).map(({ hash }) => hash).sort()).toEqual(['blake3', 'sha3-256'])
  })

  it('shows metrics', async () => {
    const { metrics } = await open()
    await append(1)
    await begin('sha3-256')
    await kept('sha3-256')
    const text = await metrics.text()
    for (const [name, value] of [
      ['entries', 2],
      ['signed_entries', 2],
      ['bound', 1],
      ['failed', 0],
    ])
      expect(text).toContain(`service_fs_second_tree_${name}{hash="sha3-256",tenant="acme"} ${value}\n`)
  })
})

const key = (): string => join(root, '.secret/acme/sha3-256-ed25519.key')

/** Leaves a ledger with a tree. */
async function built(): Promise<void> {
  await open()
  await append(300)
  await begin('sha3-256')
  await kept('sha3-256')
  await close()
}

describe('a second tree that cannot be continued', () => {
  it('waits for its key', async () => {
    await built()
    await rename(key(), join(root, 'key'))
    await open()
    const problem = 'the tree could not be opened; see the log'
    expect(await shown()).toEqual([expect.objectContaining({ state: 'failed', problem })])
    expect(warnings).toEqual([expect.stringContaining('private key is missing')])
    expect(await begin('sha3-256')).toMatchObject({ state: 'failed' })
    await append(10)
    await rename(join(root, 'key'), key())
    await begin('sha3-256')
    expect(await kept('sha3-256')).toMatchObject({ state: 'kept', signed_size: 311 })
    await close()
    expect((await verified()).problems).toEqual([])
  })

  it('names a changed tile of a second tree, and does not replace it', async () => {
    await built()
    const tile = join(root, 'acme/sha3-256/tile/0/000.b64')
    const text = await readFile(tile, 'latin1')
    await rm(tile)
    await writeFile(tile, `${text.startsWith('A') ? 'B' : 'A'}${text.slice(1)}`)
    await open()
    const tree = await kept('sha3-256')
    expect(tree).toMatchObject({ state: 'failed', problem: 'tile/0/000.b64: other bytes are sealed' })
    await append(10)
    await close()
    expect((await verified()).problems).toHaveLength(1)
  })

  it('does not change a second tree of a ledger that is opened read-only', async () => {
    await built()
    await open({ readOnly: true })
    expect(await shown()).toEqual([])
    const { status, json } = await ask('POST', '/v1/rehash', '{"hash":"sha3-256"}')
    expect([status, json.code]).toEqual([503, 'read-only'])
  })

  it('builds no second tree in a copy that leaves the tree out', async () => {
    await built()
    const folder = join(root, 'acme/sha3-256')
    await rm(folder, { recursive: true })
    await mkdir(folder)
    await writeFile(join(folder, 'left-out.txt'), 'x\n')
    await open()
    expect(await shown()).toEqual([
      expect.objectContaining({ state: 'failed', problem: expect.stringContaining('leaves out the tree') }),
    ])
    await close()
    await rm(folder, { recursive: true })
    await open()
    await begin('sha3-256')
    expect(await kept('sha3-256')).toMatchObject({ state: 'kept', bound: { index: 300, size: 300 } })
    await close()
    expect((await verified()).problems).toEqual([])
  })
})
