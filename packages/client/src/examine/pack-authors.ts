/** The signatures of the authors of a pack's records. */
import { authorIn } from '@service-fs/format/author'
import { isSignatureOf, judgeAuthor } from '../author-judgement.ts'
import type { SignatureVerifier } from '../companions.ts'
import type { TreeRecord } from '../tree-records.ts'
import type { AuthorCounts, PackedAuthor, PackedRecord } from './packed.ts'
import { packedFiles } from './safe-text.ts'

/** The row of a signed record, when its signature is known. */
export interface SignedRow<R> {
  row: R
  /** Whether the next record is its signature. */
  isFollowed: boolean
}

/** The parts of a signed record that its signature needs. */
type Signed = Pick<TreeRecord, 'id' | 'time' | 'fields' | 'payload'>

/**
 * Judges the signature of each signed record of a pack. The signature is the record after the signed one, so the row of a signed record waits
 * for that.
 */
export class PackAuthors<R extends PackedRecord> {
  readonly #verify: SignatureVerifier
  #waiting: { row: R; record: Signed } | undefined
  readonly counts: AuthorCounts = { signed: 0, verified: 0 }

  constructor(verify: SignatureVerifier) {
    this.#verify = verify
  }

  /** Takes a record of the pack with its row. Returns false if it is not signed; otherwise `next` returns its row. */
  waits({ id, time, fields, payload, parts }: TreeRecord, row: R): boolean {
    if (authorIn({ fields }) === undefined) return false
    // The payload of a single entry is a view, which would keep the whole bundle in memory.
    const own = parts === 1 ? payload.slice() : payload
    this.#waiting = { row, record: { id, time, fields, payload: own } }
    return true
  }

  /** Takes the next record of the log, or its end. Returns the row that waited for it. */
  async next(record: TreeRecord | undefined): Promise<SignedRow<R> | undefined> {
    const waiting = this.#waiting
    if (waiting === undefined) return undefined
    this.#waiting = undefined
    const judgement = await judgeAuthor(waiting.record, record, this.#verify)
    this.counts.signed += 1
    if (judgement.problem === undefined) this.counts.verified += 1
    const isFollowed = record !== undefined && isSignatureOf(record, waiting.record.id)
    const author: PackedAuthor = {
      ...judgement,
      ...(isFollowed ? { signature: { cursor: record.index + 1, ...packedFiles(record) } } : {}),
    }
    return { row: { ...waiting.row, author }, isFollowed }
  }
}

/** Returns the member `author` of a record in the report. */
export function authorReport({ author, issuer, problem, signature }: PackedAuthor): object {
  const { signedAt, signature: sha256, ...stated } = author ?? {}
  return {
    verified: problem === undefined,
    ...stated,
    issuer,
    signed_at: signedAt,
    signature: { sha256, ...signature },
    problem,
  }
}

/** Formats the author of a record on one line. Returns an empty text if the record is neither signed nor a signature. */
export function authorText({ author, signatureOf }: Pick<PackedRecord, 'author' | 'signatureOf'>): string {
  if (author === undefined)
    return signatureOf === undefined ? '' : `signature of ${JSON.stringify(signatureOf)}`
  const { author: stated, issuer, problem } = author
  const who = stated === undefined ? '' : `${stated.subject}, signed at ${stated.signedAt}`
  if (problem !== undefined) return `NOT VERIFIED: ${[who, problem].filter((part) => part !== '').join(': ')}`
  return `verified: ${who}, certificate by ${issuer ?? 'nobody'}`
}
