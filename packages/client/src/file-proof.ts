/** Verifies proofs of logging for payloads in files. */
import { createReadStream } from 'node:fs'
import { readFile, stat } from 'node:fs/promises'
import { PART_BYTES } from '@service-fs/format/entry'
import { messageOf } from '@service-fs/format/errors'
import type { Policy } from '@service-fs/tlog/policy'
import { sha256Stream } from '@service-fs/native/native'
import { ClientError } from './errors.ts'
import { checkSplit, proofHeader, readProof, type Digest, type Proved } from './proof.ts'

/** Verifies a proof like `checkPayloadProof`, for a payload in a file of any size. @throws ClientError `file` too */
export async function checkFileProof(text: string, path: string, policy: Policy): Promise<Proved> {
  const { header, split } = proofHeader(readProof(text))
  try {
    if (split === undefined) {
      const { size } = await stat(path)
      // Do not read a payload that is longer than an entry, because it can't be in the entry.
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
