import { describe, expect, it } from 'vitest'
import type { ShownTree } from './shown-trees.ts'
import { harness, type Asked } from './testing.ts'

const TREE: ShownTree = {
  hash: 'blake3',
  origin: 'example.org/ledger/acme/blake3',
  vkey: 'example.org/ledger/acme/blake3+01234567+AAAA',
  state: 'building',
  size: 256,
  log_size: 300,
  signed_size: 0,
}

const withTrees = (begun: string[] = []) =>
  harness(() => ({
    trees: {
      list: () => [TREE],
      async begin(hash) {
        begun.push(hash)
        return { ...TREE, hash }
      },
    },
  }))

async function post(body: string, begun?: string[]): Promise<Asked> {
  return (await withTrees(begun)).ask('/v1/rehash', { method: 'POST', body })
}

describe('the routes of second trees', () => {
  it('GET /v1/trees shows the trees, and records no read', async () => {
    const h = await withTrees()
    const { status, json } = await h.ask('/v1/trees')
    expect([status, json]).toEqual([200, { trees: [TREE] }])
    expect(h.audit.size).toBe(0)
  })

  it.each(['sha3-256', 'sha2-512', 'blake3'])('POST /v1/rehash begins a tree with %s', async (hash) => {
    const begun: string[] = []
    const { status, json } = await post(JSON.stringify({ hash }), begun)
    expect([status, json, begun]).toEqual([200, { ...TREE, hash }, [hash]])
  })

  it.each([
    ['{"hash":"sha-256"}', 'hash'],
    ['{"hash":["blake3"]}', 'hash'],
    ['{}', 'hash'],
    ['{"hash":"blake3","since":1}', 'since'],
    ['null', 'body'],
    ['[]', 'body'],
    ['{', 'body'],
  ])('refuses %s', async (body, field) => {
    const begun: string[] = []
    const { status, json } = await post(body, begun)
    expect([status, json.code, json.field, begun]).toEqual([400, 'bad-request', field, []])
  })

  it('the routes answer that the server keeps no second trees', async () => {
    const h = await harness()
    const answers = [
      await h.ask('/v1/trees'),
      await h.ask('/v1/rehash', { method: 'POST', body: '{"hash":"blake3"}' }),
    ]
    expect(answers.map(({ status, json }) => [status, json.code])).toEqual([
      [501, 'not-implemented'],
      [501, 'not-implemented'],
    ])
  })
})
