/** Verifies the records of a pack by their proofs. */
import { PART_BYTES, parseEntry } from '@service-fs/format/entry'
import { messageOf } from '@service-fs/format/errors'
import { nativeCodec, nativeHasher, sha256Hex } from '@service-fs/native/native'
import type { Checkpoint } from '@service-fs/tlog/checkpoint'
import { verifyInclusion } from '@service-fs/tlog/proof'
import { formatTlogProof } from '@service-fs/tlog/tlog-proof'
import type { PagePack, PageRecord, PageRow } from '../src/examine/page-files.ts'
import { notFirst, proofHeader, readProof } from '../src/proof.ts'
import { Trust } from '../src/trust.ts'

/** The header fields of a record. The record's proof covers them. */
export interface Proven {
  id: string
  type: string
  time: string
}

/** Verifies the signature on the pack's checkpoint. @throws ClientError `false`, `malformed`, `usage` */
export function openCheckpoint(pack: PagePack, vkey: string | undefined): Checkpoint {
  const trust =
    vkey === undefined ? Trust.shown(pack.keys, 'the pack') : (Trust.pinned({ vkeys: [vkey] }) as Trust)
  return trust.open(pack.checkpoint, pack.origin)
}

/**
 * Verifies that the tree of a checkpoint has a record with this content, and that the row of the index describes that record.
 * @throws Error that says what differs
 */
export function checkRecord(
  pack: PagePack,
  checkpoint: Checkpoint,
  row: PageRow,
  record: PageRecord,
  content: Uint8Array,
): Proven {
  const [cursor, id, time, type, size, leafHash, sha256] = row
  const extra = nativeCodec.base64Decode(record.header)
  const { hashes } = record
  const proof = readProof(
    formatTlogProof(
      { extra, index: cursor - 1, hashes: [...hashes], checkpoint: pack.checkpoint },
      nativeCodec,
    ),
  )
  const { header, split } = proofHeader(proof)
  const first = split === undefined ? content : content.subarray(0, PART_BYTES)
  const bytes = nativeCodec.concat(header, first)
  const leaf = nativeHasher.leaf(bytes)
  const { size: treeSize, root } = checkpoint
  try {
    verifyInclusion({ index: cursor - 1, size: treeSize, root, leafHash: leaf, proof: hashes }, nativeHasher)
  } catch (error) {
    throw new Error(`the ledger signed another record: ${messageOf(error)}`, { cause: error })
  }
  // The header is an entry of the tree, so the log signed its fields.
  const found = sha256Hex(content)
  if (split !== undefined) {
    expectSame('length', split.length, content.length)
    expectSame('SHA-256', split.sha256, found)
  }
  const { header: proven, continuation } = parseEntry(bytes, nativeCodec)
  if (continuation !== undefined) throw notFirst(continuation)
  expectSame('identifier', proven.id, id)
  expectSame('media type', proven.type, type)
  expectSame('time of deposit', proven.time, time)
  expectSame('leaf hash', leaf, leafHash)
  expectSame('size', content.length, size)
  expectSame('SHA-256', found, sha256)
  return { id: proven.id, type: proven.type, time: proven.time }
}

function expectSame(name: string, expected: string | number, found: string | number): void {
  if (expected !== found)
    throw new Error(`${name}: expected ${JSON.stringify(expected)}, found ${JSON.stringify(found)}`)
}
