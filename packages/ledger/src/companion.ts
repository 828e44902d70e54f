/** Companion records: the ledger stores the signature of a record's author in a record of its own, directly after the signed one. */
import {
  authorFields,
  authorIn,
  isAuthorProblem,
  SIGNATURE_OF_FIELD,
  signatureId,
  type Author,
} from '@service-fs/format/author'
import { RETAIN_FIELD } from '@service-fs/format/duty'
import type { Field, Sha256Hex } from '@service-fs/format/entry'
import type { Codec } from '@service-fs/tlog/codec'
import { LedgerError } from './errors.ts'
import type { NewRecord } from './record.ts'

interface WithCompanions {
  /** The records, and after each signed one its companion. */
  readonly all: readonly NewRecord[]
  /** The place of each record in `all`. */
  readonly places: readonly number[]
}

/** Adds the author's fields to each signed record, and its companion after it. */
export function withCompanions(
  records: readonly NewRecord[],
  sha256Hex: Sha256Hex,
  codec: Codec,
): WithCompanions {
  const all: NewRecord[] = []
  const places: number[] = []
  for (const record of records) {
    const { id, fields = [], signature } = record
    places.push(all.length)
    if (signature === undefined) {
      all.push(record)
      continue
    }
    const { author, type, bytes } = signature
    all.push({ ...record, fields: [...fields, ...authorFields(author)].sort(byName) })
    const kept = fields.filter(([name]) => name === RETAIN_FIELD)
    all.push({
      id: signatureId(id, sha256Hex, codec),
      type,
      payload: bytes,
      fields: [...kept, [SIGNATURE_OF_FIELD, id]],
    })
  }
  return { all, places }
}

function byName(a: Field, b: Field): number {
  return a[0] < b[0] ? -1 : 1
}

/** Checks that the certificates of each signed record are valid at its time. @throws LedgerError `bad-signature` */
export function checkValidity(records: readonly NewRecord[], time: string): void {
  for (const { id, signature } of records) {
    if (signature === undefined) continue
    const { notBefore, notAfter } = signature
    if (time >= notBefore && time <= notAfter) continue
    throw new LedgerError(
      'bad-signature',
      `identifier ${JSON.stringify(id)}: expected certificates that are valid at the time of the record, ${time}, ` +
        `found a chain that is valid from ${notBefore} to ${notAfter}`,
      { recordId: id },
    )
  }
}

/** Returns the author that the fields of a record name, if they name one. */
export function storedAuthor(fields: readonly Field[] | undefined): Author | undefined {
  const read = authorIn({ fields: fields ?? [] })
  return read === undefined || isAuthorProblem(read) ? undefined : read
}
