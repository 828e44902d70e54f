/** Tests that a ledger has the same records, proofs and bytes over every storage. */
import { MAX_ENTRY_BYTES } from '@service-fs/format/entry'
import { VERIFY_SH } from '@service-fs/format/verify-shell'
import type { StorageCapability } from '@service-fs/storage/capability'
import type { ReadableName } from '@service-fs/storage/object-name'
import type { ConformanceOptions, ConformanceSubject } from '@service-fs/storage/conformance'
import { openCheckpoint, type Checkpoint } from '@service-fs/tlog/checkpoint'
import { hexEncode, pureCodec, type Codec } from '@service-fs/tlog/codec'
import { Edge } from '@service-fs/tlog/edge'
import { EMPTY_ROOT, nobleHasher, type Hash, type Hasher } from '@service-fs/tlog/hash'
import { formatSignerKey, signerFromKey, verifierFromVkey, type KeySigner } from '@service-fs/tlog/keys'
import { verifyConsistency, verifyInclusion } from '@service-fs/tlog/proof'
import type { KeyCrypto } from '@service-fs/tlog/scheme'
import { storedPath, TILE_WIDTH, tilesOf } from '@service-fs/tlog/tile'
import { formatBundle, formatHashTile } from '@service-fs/tlog/tile-text'
import { parseTlogProof } from '@service-fs/tlog/tlog-proof'
import { LedgerError } from './errors.ts'
import type { Ledger } from './ledger.ts'
import type { LedgerOptions } from './options.ts'
import { DEFAULT_LIMITS, type LedgerLimits } from './limits.ts'
import type { Appended, NewRecord, StoredRecord } from './record.ts'
import { openTestLedger, TEST_ORIGIN, TestRuntime, textRecord } from './testing.ts'

export interface LedgerConformanceOptions {
  readonly name: string
  /** Opens an empty storage. */
  readonly open: () => Promise<ConformanceSubject>
  readonly test: ConformanceOptions['test']
  /** The machine's native hash, codec and Ed25519; by default those in pure ECMAScript. */
  readonly crypto?: KeyCrypto
  /** The limits that the envelope sets. */
  readonly limits?: Partial<LedgerLimits>
  /**
   * Resolves after a turn of the event loop. The default resolves at once, which suits storages whose verbs all take a turn, and storages
   * whose verbs take none.
   */
  readonly turn?: () => Promise<void>
  /** Entries of the largest ledger under test, at least 1,000. The default, 66,000, has a full tile of level 1. */
  readonly entries?: number
}

/** Tests that a ledger must pass over every storage. */
export function ledgerConformance(options: LedgerConformanceOptions): void {
  const t = tools(options)
  options.test.describe(`a ledger over ${options.name} conforms`, () => {
    appending(t)
    growing(t)
    identifiers(t)
    largeRecords(t)
    limits(t)
    reopening(t, options.turn ?? (async () => undefined))
    proving(t)
    sealing(t, options.entries ?? 66_000)
    times(t)
    exporting(t)
  })
}

function appending({ it, same, refused }: Tools): void {
  it('begins empty, with a signed checkpoint of size 0 and the files that describe it', async (b) => {
    same(b.head(), { origin: TEST_ORIGIN, size: 0, root: EMPTY_ROOT, extensions: [] })
    same(await b.stored({ kind: 'origin' }), `${TEST_ORIGIN}\n`)
    same(await b.stored({ kind: 'vkey', name: 'ed25519' }), `${b.ledger.vkeys[0]}\n`)
    same((await b.stored({ kind: 'readme' }))?.includes('sha256sum'), true)
    same(await b.stored({ kind: 'verifier' }), VERIFY_SH)
    same(await b.stored({ kind: 'checkpoint' }), b.ledger.checkpoint())
    await b.restart('stop')
    same(b.head().size, 0)
    await refused('not-found', b.ledger.record(0))
    await refused('not-found', b.ledger.recordById('a'))
    await refused('range', b.ledger.inclusionProof(0, 0))
    same(await b.ledger.consistencyProof(0, 0), { hashes: [] })
  })

  it('returns the place, the leaf hash, the time, and a checkpoint that covers the record', async (b) => {
    const time = '2026-11-22T18:43:00.000Z'
    const { entries, checkpoint } = await b.ledger.append([textRecord('a', 'one'), textRecord('b', 'zwei')])
    const leaves = ['id: a\ntype: text/plain\ntime: $\n\none', 'id: b\ntype: text/plain\ntime: $\n\nzwei']
      .map((text) => `service-fs/entry/v1\n${text.replace('$', time)}`)
      .map((text) => b.hasher.leaf(b.codec.utf8Encode(text)))
    same(entries, [
      { index: 0, parts: 1, leafHash: leaves[0], time, duplicate: false },
      { index: 1, parts: 1, leafHash: leaves[1], time, duplicate: false },
    ])
    same(checkpoint, b.ledger.checkpoint())
    same(b.head(), { origin: TEST_ORIGIN, size: 2, root: b.root(leaves), extensions: [] })
  })

  it('returns records by index, by identifier and in order', async (b) => {
    const fields = [['author', 'Ä. Müller'] as const, ['retain-until', '2036-12-31'] as const]
    const given = [textRecord('plain', ''), { ...textRecord('ü/😀 %2F', '\u0000\n\n'), fields }]
    await b.ledger.append(given)
    await b.ledger.append([{ id: 'x', type: 'a/b; c="d"', payload: Uint8Array.of(0, 255) }])
    const expected = [...given, { id: 'x', type: 'a/b; c="d"', payload: Uint8Array.of(0, 255) }]
    for (const how of ['', 'stop', 'kill'] as const) {
      if (how !== '') await b.restart(how)
      for (const [index, record] of expected.entries()) {
        const stored = await b.ledger.record(index)
        same([stored.index, stored.parts, contentOf(stored)], [index, 1, contentOf(record)])
        same(await b.ledger.recordById(record.id), stored)
      }
      same(await b.ids(0), ['plain', 'ü/😀 %2F', 'x'])
      same(await b.ids(1, 1), ['ü/😀 %2F'])
      same(await b.ids(3), [])
    }
    await refused('not-found', b.ledger.recordById('y'))
    await refused('not-found', b.ledger.record(3))
  })

  it('resolves concurrent appends, each with a checkpoint that covers it', async (b) => {
    const answers = await Promise.all(batch(0, 300).map((record) => b.ledger.append([record])))
    const indexes = answers.map(({ entries }) => entries[0]?.index ?? -1)
    same(
      [...indexes].sort((x, y) => x - y),
      indexes.map((_, i) => i),
    )
    for (const { entries, checkpoint } of answers) {
      same(b.opened(checkpoint).size > (entries[0]?.index ?? Infinity), true)
    }
    await b.restart('kill')
    for (const [i, index] of indexes.entries()) same((await b.ledger.record(index)).id, `r${i}`)
  })
}

function growing({ it, same, refused }: Tools): void {
  it('resolves waiters for growth when the new records can be read', async (b) => {
    const seen: number[][] = []
    const wait = async (size: number): Promise<void> => {
      const grown = await b.ledger.grown(size)
      seen.push([size, grown])
      same((await b.ids(size)).length, grown - size)
    }
    const waiting = [wait(0), wait(2), wait(0), wait(3)]
    await b.ledger.append(batch(0, 3))
    await Promise.all(waiting.slice(0, 3))
    same(
      seen.sort(([x = 0], [y = 0]) => x - y),
      [
        [0, 3],
        [0, 3],
        [2, 3],
      ],
    )
    await wait(1)
    await b.ledger.append(batch(3, 1))
    await waiting[3]
    same(seen.slice(3), [
      [1, 3],
      [3, 4],
    ])
    const last = refused('closed', b.ledger.grown(4))
    await b.ledger.close()
    await last
    await refused('closed', b.ledger.grown(4))
    await b.restart('stop')
  })
}

function identifiers({ it, same, refused }: Tools): void {
  it('returns the place of the first record for an identical one, and rejects a different one', async (b) => {
    const first = await b.ledger.append([textRecord('a', 'one')])
    await b.ledger.append([textRecord('b', 'two')])
    const others = [textRecord('a', 'two'), { ...textRecord('a', 'one'), type: 'text/html' }]
    for (const how of ['', 'kill', 'stop'] as const) {
      if (how !== '') await b.restart(how)
      const again = await b.ledger.append([textRecord('a', 'one')])
      same(again.entries, [{ ...first.entries[0], duplicate: true }])
      for (const other of others) same((await refused('conflict', b.ledger.append([other]))).index, 0)
      same(b.ledger.size, 2)
    }
  })

  it('appends all records of a batch or none', async (b) => {
    await b.ledger.append([textRecord('a', 'one')])
    const mixed = [textRecord('b', '1'), textRecord('a', 'one'), textRecord('b', '1'), textRecord('c', '1')]
    const { entries } = await b.ledger.append(mixed)
    same(places(entries), [
      [1, false],
      [0, true],
      [1, true],
      [2, false],
    ])
    await refused('conflict', b.ledger.append([textRecord('d', '1'), textRecord('a', 'other')]))
    await refused('conflict', b.ledger.append([textRecord('e', '1'), textRecord('e', '2')]))
    await refused('bad-record', b.ledger.append([textRecord('f', '1'), textRecord('', '1')]))
    await b.restart('kill')
    same(await b.ids(0), ['a', 'b', 'c'])
  })

  it('recognizes a record that is still being appended', async (b) => {
    const answers = await Promise.all([0, 1, 2].map(() => b.ledger.append([textRecord('a', 'one')])))
    same(
      answers.map(({ entries }) => places(entries)[0]),
      [
        [0, false],
        [0, true],
        [0, true],
      ],
    )
    const both = await Promise.allSettled([
      b.ledger.append([textRecord('b', 'one')]),
      b.ledger.append([textRecord('b', 'two')]),
    ])
    same(both.map(({ status }) => status).sort(), ['fulfilled', 'rejected'])
    same(b.ledger.size, 2)
  })
}

function largeRecords({ it, same, refused }: Tools): void {
  it('splits a record that does not fit into an entry, and joins it', async (b) => {
    const header = `service-fs/entry/v1\nid: fits\ntype: ${BYTES}\ntime: 2026-11-22T18:43:00.000Z\n\n`
    const room = MAX_ENTRY_BYTES - header.length
    const records = [
      bytesRecord('fits', room),
      bytesRecord('over', room + 1),
      bytesRecord('even', 61_440 * 3),
      bytesRecord('odd', 61_440 * 3 + 1),
    ]
    const { entries } = await b.ledger.append(records)
    same(
      entries.map(({ index, parts }) => [index, parts]),
      [
        [0, 1],
        [1, 2],
        [3, 3],
        [6, 4],
      ],
    )
    await b.restart('kill')
    for (const [i, { index, parts }] of entries.entries()) {
      const stored = await b.ledger.record(index)
      same([stored.parts, b.digest(stored.payload)], [parts, b.digest(records[i]?.payload)])
    }
    for (const inside of [2, 4, 5, 7, 8, 9]) {
      const first = inside < 3 ? 1 : inside < 6 ? 3 : 6
      same((await refused('not-a-record', b.ledger.record(inside))).index, first)
    }
    same(await b.ids(2), ['even', 'odd'])
    same(await b.ids(4), ['odd'])
    same((await b.ledger.append([records[2] as NewRecord])).entries[0]?.duplicate, true)
    await refused('conflict', b.ledger.append([bytesRecord('odd', 61_440 * 3)]))
  })

  it('accepts the largest payload and the largest batch that its limits allow', async (b) => {
    const { maxPayloadBytes, queueBytes, maxBatchRecords } = b.ledger.limits
    await b.ledger.append([bytesRecord('payload', maxPayloadBytes)])
    const each = Math.min(maxPayloadBytes, Math.floor((queueBytes * 3) / 4 / 3))
    await b.ledger.append([1, 2, 3].map((n) => bytesRecord(`third ${n}`, each)))
    await b.ledger.append(batch(0, maxBatchRecords))
    await b.restart('kill')
    same((await b.ledger.recordById('payload')).payload.length, maxPayloadBytes)
    same(b.digest((await b.ledger.recordById('third 3')).payload), b.digest(bytes(each)))
    same((await b.ledger.append([textRecord('after', 'x')])).entries[0]?.duplicate, false)
    await refused('too-large', b.ledger.append([bytesRecord('over', maxPayloadBytes + 1)]))
    await refused('too-large', b.ledger.append(batch(0, maxBatchRecords + 1)))
  })
}

function limits({ it, same, refused }: Tools): void {
  it('rejects invalid records, and appends none of the batch', async (b) => {
    const bad: NewRecord[] = [
      textRecord('', 'x'),
      textRecord('a\nb', 'x'),
      textRecord('a\u0085', 'x'),
      textRecord('\ud800', 'x'),
      textRecord('é'.repeat(128) + 'x', 'x'),
      { ...textRecord('a', 'x'), type: '' },
      { ...textRecord('a', 'x'), type: 'a/' + 'b'.repeat(254) },
      { ...textRecord('a', 'x'), fields: [['part', '1/2']] },
      { ...textRecord('a', 'x'), fields: [['b', '1'] as const, ['a', '1'] as const] },
      { ...textRecord('a', 'x'), fields: [['author', 'x'.repeat(4096)]] },
    ]
    await refused('bad-record', b.ledger.append([]))
    for (const record of bad) await refused('bad-record', b.ledger.append([record]))
    same(b.ledger.size, 0)
    const most = { ...textRecord('é'.repeat(128), 'x'), type: 'a/' + 'b'.repeat(253) }
    same((await b.ledger.append([most])).entries[0]?.index, 0)
  })

  it('rejects appends beyond the queue as busy, and appends none of them', async (b) => {
    await b.restart('stop', { limits: { queueEntries: 8 } })
    const results = await Promise.allSettled(batch(0, 40).map((record) => b.ledger.append([record])))
    const busy = results.filter((result) => result.status === 'rejected')
    same(busy.length > 0, true)
    for (const { reason } of busy) same((reason as LedgerError).code, 'busy')
    same(b.ledger.size, results.length - busy.length)
    const again = await b.ledger.append([textRecord('after', 'x')])
    same(again.entries[0]?.index, results.length - busy.length)
  })

  it('rejects a proof, an entry and a tile beyond the tree', async (b) => {
    await b.ledger.append(batch(0, 3))
    for (const [index, size] of [
      [3, 3],
      [0, 4],
      [0, 0],
      [-1, 2],
      [0.5, 2],
    ] as const)
      await refused('range', b.ledger.inclusionProof(index, size))
    for (const [from, to] of [
      [1, 4],
      [2, 1],
      [-1, 1],
    ] as const)
      await refused('range', b.ledger.consistencyProof(from, to))
    for (const index of [3, -1, 0.5, Number.NaN]) await refused('not-found', b.ledger.entry(index))
    for (const width of [0, 4, 256]) {
      await refused('not-found', b.ledger.hashTile(0, 0, width))
      await refused('not-found', b.ledger.bundle(0, width))
    }
    await refused('not-found', b.ledger.hashTile(1, 0, 1))
    await refused('not-found', b.ledger.bundle(1, 1))
  })

  it('rejects a commit that cannot be signed, and keeps appending', async (b) => {
    let isBroken = false
    const sign = (text: string): Promise<string> =>
      isBroken ? Promise.reject(new Error('token removed')) : Promise.resolve(b.signer.sign(text))
    await b.restart('stop', { signer: { vkey: b.signer.vkey, sign } })
    await b.ledger.append([textRecord('a', 'one')])
    isBroken = true
    await refused('signer', b.ledger.append([textRecord('b', 'two')]))
    isBroken = false
    const { entries } = await b.ledger.append([textRecord('b', 'two')])
    same(places(entries), [[1, false]])
    await b.restart('kill')
    same(await b.ids(0), ['a', 'b'])
  })

  it('rejects appends once it is closed', async (b) => {
    const [last] = await Promise.all([b.ledger.append([textRecord('a', 'one')]), b.ledger.close()])
    same(last.entries[0]?.index, 0)
    await refused('closed', b.ledger.append([textRecord('b', 'two')]))
    await b.restart('stop')
    same(await b.ids(0), ['a'])
  })
}

function reopening({ it, same, refused }: Tools, turn: () => Promise<void>): void {
  it('reopens at the last acknowledged checkpoint, at every size, after a stop or a kill', async (b) => {
    const leaves: Hash[] = []
    for (let size = 0; size < 560;) {
      const isNear = [256, 512].some((boundary) => Math.abs(size - boundary) < 3)
      const next = size < 254 ? 254 : size < 510 ? 510 : 560
      const count = isNear ? 1 : Math.min(1 + ((size * 7) % 40), next - size)
      const { entries, checkpoint } = await b.ledger.append(batch(size, count))
      for (const { leafHash } of entries) leaves.push(leafHash)
      size += count
      const head = b.opened(checkpoint)
      same([head.size, head.root], [size, b.root(leaves)])
      await b.restart(size % 2 === 0 ? 'kill' : 'stop')
      same(b.ledger.checkpoint(), checkpoint)
    }
    for (let index = 0; index < leaves.length; index += 13)
      same((await b.ledger.record(index)).id, `r${index}`)
  })

  it('publishes its newest checkpoint at a clean stop, and within a minute of a commit', async (b) => {
    await b.ledger.append(batch(0, 3))
    await b.restart('stop')
    same(await b.stored({ kind: 'verifier' }), VERIFY_SH)
    same(await b.stored({ kind: 'checkpoint' }), b.ledger.checkpoint())
    await b.ledger.append(batch(3, 1))
    b.runtime.advance(60_000)
    while ((await b.stored({ kind: 'checkpoint' })) !== b.ledger.checkpoint()) await turn()
    same(await b.stored({ kind: 'verifier' }), VERIFY_SH)
  })

  it('rejects another origin and another key', async (b) => {
    await b.ledger.append(batch(0, 3))
    const origin = 'example.org/ledger/other'
    await refused('corrupt', b.restart('stop', { origin, signer: b.signerOf(origin) }))
    const stranger = b.signerOf(TEST_ORIGIN, 8)
    await refused('corrupt', b.restart('kill', { signer: stranger, verifiers: [b.verifierOf(stranger)] }))
    await b.restart('kill')
    same(await b.ids(0), ['r0', 'r1', 'r2'])
  })
}

function proving({ it, same }: Tools): void {
  it('proves every entry in every size of a small tree', async (b) => {
    const leaves: Hash[] = []
    for (let size = 0; size < 20; size++) {
      const { entries } = await b.ledger.append(batch(size, 1))
      leaves.push(entries[0]?.leafHash ?? '')
    }
    for (let to = 1; to <= leaves.length; to++) {
      for (let index = 0; index < to; index++) await b.checkInclusion(index, to, b.root(leaves.slice(0, to)))
      for (let from = 0; from <= to; from++) await b.checkConsistency(from, to, leaves)
    }
    same(leaves.length, 20)
  })

  it('returns a tlog-proof that, with the payload, verifies a record', async (b) => {
    await b.ledger.append(batch(0, 258))
    await b.ledger.append([bytesRecord('split', 70_000)])
    await b.restart('stop')
    for (const index of [0, 255, 256, 257, 258, 259]) {
      const proof = parseTlogProof(await b.ledger.tlogProof(index), b.codec)
      const { size, root } = b.opened(proof.checkpoint)
      const entry = await b.ledger.entry(index)
      const extra = proof.extra ?? new Uint8Array()
      same([proof.index, size], [index, 260])
      same(b.digest(entry.slice(0, extra.length)), b.digest(extra))
      const leafHash = b.hasher.leaf(entry)
      verifyInclusion({ index, size, leafHash, root, proof: proof.hashes }, b.hasher)
    }
  })
}

function sealing({ it, same }: Tools, entries: number): void {
  it('seals bundles and tiles once they are full, and derives the others', async (b) => {
    const { leaves } = await b.fill(1000, 37)
    await b.restart('stop')
    const names = [0, 1, 2].flatMap((index): ReadableName[] => [
      { kind: 'tile', level: 0, index },
      { kind: 'bundle', index },
    ])
    for (const name of names) {
      same((await b.stored(name))?.split('\n').length, TILE_WIDTH + 1)
    }
    same(await b.stored({ kind: 'bundle', index: 3 }), undefined)
    same(await b.stored({ kind: 'tile', level: 1, index: 0 }), undefined)
    same(await b.stored({ kind: 'tile', level: 0, index: 1 }), formatHashTile(leaves.slice(256, 512)))
    for (const how of ['', 'kill'] as const) {
      if (how !== '') await b.restart(how)
      for (const [index, width] of [
        [0, 256],
        [1, 17],
        [2, 256],
        [3, 1],
        [3, 232],
      ] as const) {
        same(await b.ledger.hashTile(0, index, width), leaves.slice(index * 256, index * 256 + width))
        const lines = await b.ledger.bundle(index, width)
        same(
          lines.map((line) => b.hasher.leaf(b.codec.base64Decode(line))),
          leaves.slice(index * 256, index * 256 + width),
        )
      }
      const level1 = [0, 1, 2].map((n) => b.root(leaves.slice(n * 256, n * 256 + 256)))
      same(await b.ledger.hashTile(1, 0, 3), level1)
    }
    for (const [index, size] of [
      [0, 1000],
      [255, 256],
      [256, 257],
      [999, 1000],
    ] as const)
      await b.checkInclusion(index, size, b.root(leaves.slice(0, size)))
    for (const from of [1, 255, 256, 257, 512, 999]) await b.checkConsistency(from, 1000, leaves)
  })

  it(`grows to ${entries} entries, with kills`, async (b) => {
    const each = Math.min(4000, b.ledger.limits.maxBatchRecords)
    const { leaves } = await b.fill(entries, each, async (size) => {
      if (size === each || size === 10 * each) await b.restart('kill')
    })
    const root = b.root(leaves)
    same(b.head(), { origin: TEST_ORIGIN, size: entries, root, extensions: [] })
    await b.restart('stop')
    for (const index of [0, 255, 256, 65_535, 65_536, entries - 1].filter((i) => i < entries)) {
      await b.checkInclusion(index, entries, root)
      same((await b.ledger.record(index)).id, `r${index}`)
    }
    await b.checkConsistency(Math.floor(entries / 2), entries, leaves)
    const full = entries >= 65_536
    same((await b.stored({ kind: 'tile', level: 1, index: 0 }))?.split('\n').length, full ? 257 : undefined)
    if (full) same(await b.ledger.hashTile(2, 0, 1), [b.root(leaves.slice(0, 65_536))])
  })
}

function times({ it, same, refused }: Tools): void {
  it('assigns the clock’s time, never before the newest record’s, even after reopening', async (b) => {
    const at = async (id: string): Promise<string | undefined> =>
      (await b.ledger.append([textRecord(id, id)])).entries[0]?.time
    same(await at('a'), '2026-11-22T18:43:00.000Z')
    b.runtime.time += 1
    same(await at('b'), '2026-11-22T18:43:00.001Z')
    b.runtime.time -= 10_000
    same(await at('c'), '2026-11-22T18:43:00.001Z')
    for (const how of ['kill', 'stop'] as const) {
      await b.restart(how)
      same(await at(how), '2026-11-22T18:43:00.001Z')
      b.runtime.time -= 1
      await refused('clock-behind', b.ledger.append([textRecord('late', '')]))
      same((await b.ledger.append([textRecord('a', 'a')])).entries[0]?.duplicate, true)
      b.runtime.time += 1
    }
    same(b.ledger.status().timesRepeated, 1)
    b.runtime.time += 60_000
    same(await at('d'), '2026-11-22T18:43:50.001Z')
    same(b.ledger.size, 6)
  })

  it('assigns one time to all records of a batch', async (b) => {
    const { entries } = await b.ledger.append([...batch(0, 5), bytesRecord('split', 200_000)])
    same(new Set(entries.map(({ time }) => time)).size, 1)
  })
}

/** SHA-256 over {@link exported} of the ledger in the last test, the same over every storage. */
const EXPORT_SHA256 = '23fd5495769f77366a0d7e0997a2ac844408d792586b29f29beecfc5958c0e9d'

function exporting({ it, same }: Tools): void {
  it('holds the same bytes as every other ledger of the same records, key and clock', async (b) => {
    for (let size = 0, step = 1; size < 700; step++) {
      const count = 1 + ((step * 31) % 45)
      await b.ledger.append(batch(size, count))
      if (step % 5 === 0) await b.ledger.append([bytesRecord(`large ${step}`, 20_000 * step)])
      await b.ledger.append(batch(size, 1))
      if (step % 7 === 0) await b.restart(step % 2 === 0 ? 'stop' : 'kill')
      b.runtime.advance(step % 3 === 0 ? -5 : 1000)
      size += count
    }
    let text = ''
    for await (const [path, content] of exported(b.ledger)) {
      text += `${hexEncode(b.hasher.sha256(b.codec.utf8Encode(content)))}  ${path}\n`
    }
    same(hexEncode(b.hasher.sha256(b.codec.utf8Encode(text))), EXPORT_SHA256)
  })
}

/**
 * Yields the path and text of every file that a reader can get from a ledger at its newest checkpoint: `origin`, the verifier keys,
 * `checkpoint`, and every tile. Partial tiles have their names in tlog-tiles (`tile/entries/002.p/17.b64`).
 */
export async function* exported(ledger: Ledger): AsyncGenerator<[path: string, text: string]> {
  const { size, note } = ledger.head
  yield ['origin', `${ledger.origin}\n`]
  for (const vkey of ledger.vkeys) yield ['keys/ed25519.vkey', `${vkey}\n`]
  yield ['checkpoint', note]
  for (const tile of tilesOf(size)) {
    const { level, index, width } = tile
    const text =
      level === 'entries'
        ? formatBundle(await ledger.bundle(index, width))
        : formatHashTile(await ledger.hashTile(level, index, width))
    yield [storedPath(tile), text]
  }
}

interface Tools {
  readonly it: (name: string, test: (bench: Bench) => Promise<void>) => void
  readonly same: (actual: unknown, expected: unknown) => void
  /** Expects a LedgerError with this code, and returns it. */
  readonly refused: (code: string, verb: Promise<unknown>) => Promise<LedgerError>
}

function tools(options: LedgerConformanceOptions): Tools {
  const same = (actual: unknown, expected: unknown): void =>
    void options.test.expect(actual).toEqual(expected)
  return {
    same,
    it: (name, run) => {
      options.test.it(name, async () => {
        const subject = await options.open()
        try {
          const bench = new Bench(subject, options)
          await bench.open(subject.storage)
          await run(bench)
        } finally {
          await subject.dispose()
        }
      })
    },
    refused: async (code, verb) => {
      const outcome = await verb.then(
        () => 'succeeded',
        (error: unknown) => error,
      )
      same(outcome instanceof LedgerError ? outcome.code : outcome, code)
      return outcome as LedgerError
    },
  }
}

/** The ledger of one test, with helpers to restart and inspect it. */
class Bench {
  readonly runtime: TestRuntime
  readonly hasher: Hasher
  readonly codec: Codec
  readonly signer: KeySigner
  readonly #crypto: KeyCrypto
  readonly #limits: Partial<LedgerLimits>
  readonly #subject: ConformanceSubject
  #storage: StorageCapability | undefined
  #ledger: Ledger | undefined

  constructor(subject: ConformanceSubject, { crypto = {}, limits: set = {} }: LedgerConformanceOptions) {
    this.#subject = subject
    this.#crypto = crypto
    this.#limits = set
    this.hasher = crypto.hasher ?? nobleHasher
    this.codec = crypto.codec ?? pureCodec
    this.runtime = Object.assign(new TestRuntime(), { hasher: this.hasher, codec: this.codec })
    this.signer = this.signerOf(TEST_ORIGIN)
  }

  get ledger(): Ledger {
    if (this.#ledger === undefined) throw new Error('no ledger is open')
    return this.#ledger
  }

  async open(storage: StorageCapability, options: Partial<LedgerOptions> = {}): Promise<void> {
    const { runtime, signer } = this
    this.#storage = storage
    this.#ledger = await openTestLedger({
      runtime,
      signer,
      verifiers: [this.verifierOf(signer)],
      storage,
      ...options,
      limits: { ...DEFAULT_LIMITS, ...this.#limits, ...options.limits },
    })
  }

  /** Opens the ledger again, after a clean stop or, for 'kill', without one. */
  async restart(how: 'stop' | 'kill', options: Partial<LedgerOptions> = {}): Promise<void> {
    if (how === 'stop') await this.ledger.close()
    await this.open(await this.#subject.reopen(), options)
  }

  signerOf(origin: string, seed = 7): KeySigner {
    const key = { name: origin, type: 1, seed: new Uint8Array(32).fill(seed) }
    return signerFromKey(formatSignerKey(key, this.#crypto), this.#crypto)
  }

  verifierOf(signer: KeySigner): ReturnType<typeof verifierFromVkey> {
    return verifierFromVkey(signer.vkey, this.#crypto)
  }

  /** Verifies a signed checkpoint and returns its content. */
  opened(note: string): Checkpoint {
    return openCheckpoint(note, [this.verifierOf(this.signer)], TEST_ORIGIN).checkpoint
  }

  head(): Checkpoint {
    return this.opened(this.ledger.checkpoint())
  }

  /** Returns a stored object as text; undefined when there is none. */
  async stored(name: ReadableName): Promise<string | undefined> {
    const found = await this.#storage?.read(name)
    return found && this.codec.utf8Decode(found)
  }

  async ids(since: number, limit?: number): Promise<string[]> {
    const found: string[] = []
    for await (const { id } of this.ledger.records(since, limit === undefined ? {} : { limit }))
      found.push(id)
    return found
  }

  digest(data: Uint8Array = new Uint8Array()): string {
    return hexEncode(this.hasher.sha256(data))
  }

  /** Returns the root hash of the tree of these leaves. */
  root(leaves: readonly Hash[]): Hash {
    const edge = new Edge()
    for (const leaf of leaves) edge.append(leaf, this.hasher)
    return edge.root(this.hasher)
  }

  /** Appends small records up to `size`, `each` at a time; `after` is called after each step. */
  async fill(
    size: number,
    each: number,
    after: (size: number) => Promise<void> = async () => undefined,
  ): Promise<{ leaves: Hash[] }> {
    const leaves: Hash[] = []
    while (leaves.length < size) {
      const { entries } = await this.ledger.append(batch(leaves.length, Math.min(each, size - leaves.length)))
      for (const { leafHash } of entries) leaves.push(leafHash)
      await after(leaves.length)
    }
    return { leaves }
  }

  async checkInclusion(index: number, size: number, root: Hash): Promise<void> {
    const { leafHash, rootHash, hashes: proof } = await this.ledger.inclusionProof(index, size)
    if (rootHash !== root) throw new Error(`root of ${size}: expected ${root}, found ${rootHash}`)
    verifyInclusion({ index, size, leafHash, root, proof }, this.hasher)
  }

  async checkConsistency(from: number, to: number, leaves: readonly Hash[]): Promise<void> {
    const [fromRoot, toRoot] = [this.root(leaves.slice(0, from)), this.root(leaves.slice(0, to))]
    const proof = (await this.ledger.consistencyProof(from, to)).hashes
    verifyConsistency({ from, to, fromRoot, toRoot, proof }, this.hasher)
  }
}

const BYTES = 'application/octet-stream'

function batch(from: number, count: number): NewRecord[] {
  return Array.from({ length: count }, (_, i) => textRecord(`r${from + i}`, `text ${from + i}`))
}

/** Returns the same bytes each time. Their period, 251, does not divide the size of a part. */
function bytes(length: number): Uint8Array {
  const made = new Uint8Array(length)
  for (let i = 0; i < length; i++) made[i] = (i * 31) % 251
  return made
}

function bytesRecord(id: string, length: number): NewRecord {
  return { id, type: BYTES, payload: bytes(length) }
}

function contentOf({ id, type, payload, fields }: NewRecord | StoredRecord): unknown[] {
  return [id, type, fields ?? [], [...payload]]
}

function places(entries: readonly Appended[]): [number, boolean][] {
  return entries.map(({ index, duplicate }) => [index, duplicate])
}
