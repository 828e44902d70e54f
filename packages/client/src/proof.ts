/** Proofs of logging (c2sp.org/tlog-proof): fetching one, and checking one offline. */
import { createReadStream } from 'node:fs'
import { readFile, stat } from 'node:fs/promises'
import { PART_BYTES, parseEntry, type Entry } from '@service-fs/format/entry'
import type { Hash } from '@service-fs/tlog/hash'
import type { Policy } from '@service-fs/tlog/policy'
import { parseTlogProof, verifyTlogProof, type TlogProof } from '@service-fs/tlog/tlog-proof'
import { messageOf } from '@service-fs/format/errors'
import { ClientError } from './errors.ts'
import type { Connection } from './http.ts'
import { nativeCodec, nativeCrypto, nativeHasher, sha256Hex, sha256Stream } from '@service-fs/native/native'

/** A proof is a header, at most 53 hashes, and a checkpoint with its cosignatures. */
const MAX_PROOF_BYTES = 2 * 1024 * 1024

/** The `.tlog-proof` of the record with this cursor, at the newest checkpoint. @throws ClientError `not-found` */
export async function fetchProof(connection: Connection, cursor: number): Promise<string> {
  const headers = { accept: 'text/x.tlog-proof' }
  return connection.askText(`v1/entries/${cursor}/proof`, { headers, limit: MAX_PROOF_BYTES })
}

/** What a proof proved. */
export interface Proved {
  index: number
  leafHash: Hash
  origin: string
  size: number
  root: Hash
  /** Names, in the policy, of the witnesses that cosigned. */
  witnesses: string[]
  /** The entry's header, which the leaf hash covers; absent when the raw entry is not of this ledger's format. */
  id?: string
  type?: string
  time?: string
}

/** Reads a proof's text. @throws ClientError `malformed` */
export function readProof(text: string): TlogProof {
  try {
    return parseTlogProof(text, nativeCodec)
  } catch (error) {
    throw new ClientError('malformed', `proof: ${messageOf(error)}`)
  }
}

/**
 * Checks a proof against a policy for a leaf hash. The proof's header, where there is one, is told only after it was checked.
 * @throws ClientError `malformed` when it is no proof, `false` when it does not hold
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

/** The header that a proof carries in `extra`: its bytes, and the split it tells of. @throws ClientError `malformed` */
export function proofHeader(proof: TlogProof): { header: Uint8Array; split: Entry['split'] } {
  const header = proof.extra
  if (header === undefined)
    throw new ClientError(
      'malformed',
      'proof: expected the header of the entry in its extra line, found none',
    )
  try {
    const first = parseEntry(header, nativeCodec)
    if (first.payload.length > 0) throw new Error('expected a header that ends with its empty line')
    return { header, split: undefined }
  } catch {
    // A split record's header is refused without its payload: it is read with one of the right length.
    return { header, split: splitOf(header) }
  }
}

function splitOf(header: Uint8Array): Entry['split'] {
  try {
    const entry = parseEntry(Buffer.concat([header, new Uint8Array(PART_BYTES)]), nativeCodec)
    if (entry.headerLength !== header.length || entry.split === undefined)
      throw new Error('expected the header of a record')
    return entry.split
  } catch (error) {
    throw new ClientError('malformed', `proof: its extra line: ${messageOf(error)}`)
  }
}

/**
 * Checks a proof for a record's payload: the header in the proof and the payload make the leaf; of a split record, the first
 * part does, and the header's length and SHA-256 cover the rest.
 * @throws ClientError `false`, `malformed`
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

/** As {@link checkPayloadProof}, for a payload in a file, of any size. @throws ClientError `file` too */
export async function checkFileProof(text: string, path: string, policy: Policy): Promise<Proved> {
  const { header, split } = proofHeader(readProof(text))
  try {
    if (split === undefined) {
      const { size } = await stat(path)
      // What is longer than an entry can't be in one: its length is enough to say so.
      if (size > 65_535)
        throw new ClientError('false', `record: expected at most 65535 bytes for this proof, found ${size}`)
      const first = await readFile(path)
      return checkSplit(text, header, split, { first, length: first.length, sha256: '' }, policy)
    }
    return checkSplit(text, header, split, await digestFile(path), policy)
  } catch (error) {
    throw error instanceof ClientError ? error : new ClientError('file', messageOf(error))
  }
}

interface Digest {
  /** The first part's payload. */
  first: Uint8Array
  length: number
  sha256: string
}

async function digestFile(path: string): Promise<Digest> {
  const digest = sha256Stream()
  const first: Uint8Array[] = []
  let length = 0
  for await (const chunk of createReadStream(path) as AsyncIterable<Buffer>) {
    if (length < PART_BYTES) first.push(chunk.subarray(0, PART_BYTES - length))
    digest.update(chunk)
    length += chunk.length
  }
  return { first: Buffer.concat(first), length, sha256: digest.hex() }
}

function checkSplit(
  text: string,
  header: Uint8Array,
  split: Entry['split'],
  digest: Digest,
  policy: Policy,
): Proved {
  const entry = Buffer.concat([header, digest.first])
  const proved = checkProof(text, nativeHasher.leaf(entry), policy)
  // From here on the header is what the log signed.
  if (split !== undefined && digest.length !== split.length) {
    throw new ClientError('false', `record: expected ${split.length} bytes, found ${digest.length}`)
  }
  if (split !== undefined && digest.sha256 !== split.sha256) {
    throw new ClientError('false', `record: expected SHA-256 ${split.sha256}, found ${digest.sha256}`)
  }
  const { id, type, time } = parseEntry(entry, nativeCodec).header
  return { ...proved, id, type, time }
}
