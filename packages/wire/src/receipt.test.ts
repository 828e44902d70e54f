import { openCheckpoint } from '@service-fs/tlog/checkpoint'
import { nobleHasher } from '@service-fs/tlog/hash'
import { verifierFromVkey } from '@service-fs/tlog/keys'
import { verifyConsistency, verifyInclusion } from '@service-fs/tlog/proof'
import { bundleFromBinary, hashTileFromBinary } from '@service-fs/tlog/tile-text'
import { parseTlogProof } from '@service-fs/tlog/tlog-proof'
import { beforeAll, expect, it } from 'vitest'

import { harness, type Harness } from './testing.ts'

const SIZE = 600
let h: Harness
const roots: string[] = []

beforeAll(async () => {
  h = await harness()
  for (let i = 0; i < SIZE; i++) {
    const got = await h.append(`r${i}`, { i })
    roots.push(got.json.checkpoint.split('\n')[2])
  }
})

it('a client verifies the proof of a record against the signed checkpoint', async () => {
  const proof = parseTlogProof((await h.ask('/v1/entries/300/proof')).text)
  const verifier = verifierFromVkey(h.ledger.vkeys[0] as string)
  const { checkpoint } = openCheckpoint(proof.checkpoint, [verifier], 'example.org/ledger/acme')
  const payload = Buffer.from('{"i":299}')
  const leafHash = nobleHasher.leaf(Buffer.concat([proof.extra as Uint8Array, payload]))
  const { size, root } = checkpoint
  verifyInclusion({ index: 299, size, leafHash, root, proof: proof.hashes }, nobleHasher)
})

it('a client verifies inclusion and consistency proofs between sizes', async () => {
  for (const [index, size] of [
    [0, 1],
    [255, 256],
    [256, 600],
    [511, 513],
  ] as const) {
    const { json } = await h.ask(`/v1/proof/inclusion?index=${index}&size=${size}`)
    expect(json.root_hash).toBe(roots[size - 1])
    const { leaf_hash: leafHash, root_hash: root, hashes: proof } = json
    verifyInclusion({ index, size, leafHash, root, proof }, nobleHasher)
  }
  const { json } = await h.ask('/v1/proof/consistency?from=257&to=600')
  const [fromRoot, toRoot] = [roots[256] as string, roots[599] as string]
  verifyConsistency({ from: 257, to: 600, fromRoot, toRoot, proof: json.hashes }, nobleHasher)
})

it('the server returns tiles and bundles that agree, at every width', async () => {
  for (const [path, width] of [
    ['000', 256],
    ['001', 256],
    ['002.p/88', 88],
    ['002.p/1', 1],
    ['001.p/7', 7],
  ] as const) {
    const index = Number(path.slice(0, 3))
    const hashes = hashTileFromBinary((await h.ask(`/tile/0/${path}`)).bytes, width)
    const entries = bundleFromBinary((await h.ask(`/tile/entries/${path}`)).bytes, width)
    expect(entries.map((entry) => nobleHasher.leaf(entry))).toEqual(hashes)
    const last = entries.at(-1) as Uint8Array
    expect(Buffer.from(last).toString()).toContain(`{"i":${index * 256 + width - 1}}`)
    const text = (await h.ask(`/tile/0/${path}.b64`)).text
    expect(text).toBe(`${hashes.join('\n')}\n`)
  }
  expect((await h.ask('/tile/1/000.p/2')).bytes).toHaveLength(64)
  expect((await h.ask('/tile/1/000.p/3')).status).toBe(404)
})
