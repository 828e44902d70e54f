/** Fetches proofs of logging (c2sp.org/tlog-proof), and verifies them offline. */
import { PART_BYTES, parseEntry, type Entry, type Field } from '@service-fs/format/entry'
import type { Hash } from '@service-fs/tlog/hash'
import type { Policy } from '@service-fs/tlog/policy'
import { parseTlogProof, verifyTlogProof, type TlogProof } from '@service-fs/tlog/tlog-proof'
import { messageOf } from '@service-fs/format/errors'
import { ClientError } from './errors.ts'
import type { Connection } from './http.ts'
import { nativeCodec, nativeCrypto, nativeHasher, sha256Hex } from '@service-fs/native/native'

/** The maximum size of a proof, which has a header, at most 53 hashes, and a checkpoint with its cosignatures. */
const MAX_PROOF_BYTES = 2 * 1024 * 1024

/**
 * Fetches the `.tlog-proof` of the record with this cursor, for the newest checkpoint. The proof is not verified.
 * @throws ClientError `not-found`
 */
export async function fetchProof(connection: Connection, cursor: number): Promise<string> {
  const headers = { accept: 'text/x.tlog-proof' }
  return connection.askText(`v1/entries/${cursor}/proof`, { headers, limit: MAX_PROOF_BYTES })
}

/** The statement of a verified proof: the log with this origin, size and root holds the leaf hash at this index. */
export interface Proved {
  /** The index of the entry in the log. */
  index: number
  /** The leaf hash of the entry (RFC 6962 §2.1), in base64. */
  leafHash: Hash
  origin: string
  /** The size of the tree that the checkpoint signs. */
  size: number
  /** The root hash of the tree, in base64. */
  root: Hash
  /** The policy's names of the witnesses that cosigned. */
  witnesses: string[]
  /** The fields of the entry's header, which the leaf hash covers; absent when the caller gave only the leaf hash. */
  id?: string
  type?: string
  time?: string
}

/** Parses the text of a proof, and verifies nothing. @throws ClientError `malformed` */
export function readProof(text: string): TlogProof {
  try {
    return parseTlogProof(text, nativeCodec)
  } catch (error) {
    throw new ClientError('malformed', `proof: ${messageOf(error)}`)
  }
}

/**
 * Verifies that a proof holds for a leaf hash: the inclusion proof, and the checkpoint's signatures under the policy.
 * @throws ClientError `malformed` when the text is not a proof, `false` when the proof does not verify
 */
export function checkProof(text: string, leafHash: Hash, policy: Policy): Proved {
  readProof(text)
  try {
    const { index, checkpoint, witnesses } = verifyTlogProof(text, leafHash, policy, nativeHasher, {
      crypto: nativeCrypto,
    })
    return {
      index,
      leafHash,
      origin: checkpoint.origin,
      size: checkpoint.size,
      root: checkpoint.root,
      witnesses,
    }
  } catch (error) {
    throw new ClientError('false', `proof: ${messageOf(error)}`)
  }
}

/** Returns the entry header in a proof's `extra` line. For a split record, also returns how it is split. @throws ClientError `malformed` */
export function proofHeader(proof: TlogProof): { header: Uint8Array; split: Entry['split'] } {
  const header = proof.extra
  if (header === undefined)
    throw new ClientError('malformed', "proof: expected the entry's header in the extra line, found none")
  try {
    const first = parseEntry(header, nativeCodec)
    if (first.payload.length > 0) throw new Error('expected a header that ends with its empty line')
    return { header, split: undefined }
  } catch {
    // parseEntry refuses the header of a split record without its payload, so splitOf adds a payload of the right length.
    return { header, split: splitOf(header) }
  }
}

function splitOf(header: Uint8Array): Entry['split'] {
  try {
    const entry = parseEntry(nativeCodec.concat(header, new Uint8Array(PART_BYTES)), nativeCodec)
    if (entry.headerLength !== header.length || entry.split === undefined)
      throw new Error('expected the header of a record')
    return entry.split
  } catch (error) {
    throw new ClientError('malformed', `proof: extra line: ${messageOf(error)}`)
  }
}

/**
 * Verifies that a proof holds for a record's payload. The header in the proof and the payload form the entry whose leaf hash is
 * proven. For a split record, the header and the first part form that entry; the header's length and SHA-256 cover the whole
 * payload.
 * @throws ClientError `false` when the proof does not verify, `malformed` when the text is not a proof
 */
export function checkPayloadProof(text: string, payload: Uint8Array, policy: Policy): Proved {
  const { header, split } = proofHeader(readProof(text))
  const sha256 = split === undefined ? '' : sha256Hex(payload)
  return checkSplit(
    text,
    header,
    split,
    {
      first: split === undefined ? payload : payload.subarray(0, PART_BYTES),
      length: payload.length,
      sha256,
    },
    policy,
  )
}

/** Returns the header fields in a proof that was verified. */
export function fieldsIn(text: string): readonly Field[] {
  const { header, split } = proofHeader(readProof(text))
  // Use a payload with the length of a split record's first part.
  const payload = new Uint8Array(split === undefined ? 0 : PART_BYTES)
  return parseEntry(nativeCodec.concat(header, payload), nativeCodec).header.fields
}

/** The facts about a split record's payload that its proof covers. */
export interface Digest {
  /** The first part's payload. */
  first: Uint8Array
  length: number
  sha256: string
}

/** Verifies a proof for an entry of this header and payload. @throws ClientError `false` */
export function checkSplit(
  text: string,
  header: Uint8Array,
  split: Entry['split'],
  digest: Digest,
  policy: Policy,
): Proved {
  const entry = nativeCodec.concat(header, digest.first)
  const proved = checkProof(text, nativeHasher.leaf(entry), policy)
  // The proof verified, so the log signed the header.
  if (split !== undefined && digest.length !== split.length) {
    throw new ClientError('false', `record: expected ${split.length} bytes, found ${digest.length}`)
  }
  if (split !== undefined && digest.sha256 !== split.sha256) {
    throw new ClientError('false', `record: expected SHA-256 ${split.sha256}, found ${digest.sha256}`)
  }
  const { header: fields, continuation } = parseEntry(entry, nativeCodec)
  if (continuation !== undefined) throw notFirst(continuation)
  const { id, type, time } = fields
  return { ...proved, id, type, time }
}

/** Returns the error of a proof for a later entry of a split record: such a proof says nothing about the whole payload. */
export function notFirst({ part, of }: { part: number; of: number }): ClientError {
  return new ClientError('false', `proof: expected the first entry of a record, found part ${part}/${of}`)
}
