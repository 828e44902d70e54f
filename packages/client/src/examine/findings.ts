/** Sentences about the checks that `examine` made and did not make, for a reader who does not know the software. */
import { formatKeyId } from '@service-fs/tlog/note'
import type { ExaminedLedger } from './ledger.ts'
import type { PackDuties } from './pack-duties.ts'
import type { ClockCorrections, PackFindings, PackOptions, PackSummary } from './packed.ts'

export interface Findings {
  checked: string[]
  notChecked: string[]
}

/** Returns the findings of a pack whose every check passed. */
export function findingsOf(
  ledger: ExaminedLedger,
  summary: PackSummary,
  { corrections, duties, recorded, isAnchored }: PackFindings & Pick<PackOptions, 'recorded' | 'isAnchored'>,
): Findings {
  const { size } = ledger.checkpoint
  return {
    checked: [
      `The ledger's signature on the checkpoint of ${size} entries verifies with the key ${keyText(ledger)}.`,
      `All ${size} entries of the ledger were read and hashed (RFC 6962, section 2.1). Their hashes yield the root hash that the checkpoint signs. So every record of the checkpoint that meets the selection is in this pack, and no other record is${addedText(summary)}. This check needs the whole ledger: it cannot be repeated with the pack alone.`,
      `For each record of this pack, an inclusion proof (RFC 9162, section 2.1.3) leads from the leaf hash of its entry to that root hash. The leaf hash covers the identifier, the media type, the time of deposit and the content: if one bit of them had changed since the ledger signed them, the proof would fail.`,
      `For a record that takes several entries, the first entry has the length and the SHA-256 of the whole content. Both match, and each part is an entry that was hashed too.`,
      dutyText(duties),
      ...signatureTexts(summary, isAnchored),
      ...(typeof recorded === 'object'
        ? [
            `The audit sub-ledger ${recorded.origin} recorded this examination as its entry ${recorded.index}, with the subject and the selection, before the pack was sent. The folder audit/ has the content of the entry and its proof.`,
          ]
        : []),
      ...ledger.earlier.map(
        (earlier) =>
          `The ledger extends the earlier checkpoint of ${earlier.size} entries with root hash ${earlier.root}, which was given to the program (consistency proof, RFC 9162, section 2.1.4). So the records with a cursor up to ${earlier.size} are the same as when that checkpoint was signed.`,
      ),
      ...ledger.cosignatures.map(
        ({ witness, time }) =>
          `The witness ${witness} cosigned the checkpoint at ${timeText(time)}: the witness states that this history extends every history of the ledger that it saw before.`,
      ),
    ],
    notChecked: [
      ledger.trust.pinned
        ? 'Whether the key that was given to the program is the key of the ledger. Compare it with the key that the owner of the ledger published.'
        : 'Whether the keys belong to the ledger: the ledger itself gave them. Compare them with the keys that its owner published. A forger who made the whole ledger again with other keys would pass every other check.',
      clockText(corrections, summary),
      ...(ledger.earlier.length > 0
        ? []
        : [
            'Whether the ledger showed other entries before this checkpoint. No earlier checkpoint was given to the program. The owner of the signing key could make a second ledger with other records or other times; a receipt, a checkpoint or a proof that someone else kept from before would prove this.',
          ]),
      ...(ledger.cosignatures.length > 0
        ? ['Whether a time-stamping authority confirms the time of deposit.']
        : [
            'Whether the ledger shows other readers the same entries, and when the checkpoint was signed: no cosignature of a witness and no time-stamp was checked.',
          ]),
      'The identity of the depositor of a record, and whether its content is true.',
      ...(summary.authors.signed === 0 ? [] : [certificateText(isAnchored)]),
      ...(recorded === 'by-server'
        ? [
            'Whether this examination is recorded. The server of the ledger records the reads of its clients in the audit sub-ledger, unless its reads are public; this pack has no proof of it.',
          ]
        : recorded === undefined
          ? [
              'Whether this examination is recorded. It was made from files, or from a ledger whose reads are public: nothing recorded it.',
            ]
          : []),
      'Whether two records have the same identifier, and who else has read the records. The command service-fs verify checks the first, and service-fs audit ls lists the reads that the audit sub-ledger recorded.',
    ],
  }
}

function addedText({ signatures }: PackSummary): string {
  return signatures === 0 ? '' : `, except ${signatures} that have the signatures of such records`
}

function signatureTexts({ authors: { signed, verified } }: PackSummary, isAnchored = false): string[] {
  if (signed === 0) return []
  const anchored = isAnchored ? ', which leads to a certificate that was given to the program' : ''
  const all = `Records that are signed by their authors: ${signed}. For ${verified} of them, the signature over the content verifies, as does the chain of its certificates at the time of deposit${anchored}; the header of the record, which the leaf hash covers, names that author. The signatures are records of this pack.`
  if (verified === signed) return [all]
  return [
    all,
    `The signatures of ${signed - verified} records do NOT verify. The report says of each why. Nothing shows that the author that such a record names has signed it.`,
  ]
}

function certificateText(isAnchored = false): string {
  return isAnchored
    ? 'Whether a certificate of an author was revoked.'
    : 'Whether the names in the certificates of authors are true, and whether a certificate was revoked. No trust anchor was given to the program, and anybody can make a certificate.'
}

function dutyText({ policies, holds, withoutEffect }: PackDuties): string {
  const broken =
    withoutEffect === 0 ? '' : ` Other duty entries, which break a rule and have no effect: ${withoutEffect}.`
  return `The duty entries up to the checkpoint were applied in their order. Scopes with a policy: ${policies}. Holds in force: ${holds}. The report says of each record until when it must be kept, by what, and which holds it is under. It knows no duty that was stated later, or elsewhere than in this ledger.${broken}`
}

function keyText({ signedBy, trust }: ExaminedLedger): string {
  const source = trust.pinned ? 'which the maker of this pack named' : 'which the ledger publishes'
  return `${formatKeyId(signedBy.keyId)}, ${source}`
}

function clockText({ count, first }: ClockCorrections, { recordsRead }: PackSummary): string {
  const clock =
    'Whether the clock of the ledger was right. The time of deposit is the time of that clock when it accepted the record.'
  if (count === 0) return `${clock} Among the ${recordsRead} records of the ledger there is no correction.`
  const where = first.slice(0, 20).map(({ cursor }) => cursor)
  return `${clock} Operators corrected it ${count} ${count === 1 ? 'time' : 'times'}, by the records with the cursors ${where.join(', ')}${count > where.length ? ' and others' : ''}: times before a correction may be wrong.`
}

/** Formats POSIX seconds. */
export function timeText(seconds: number): string {
  const date = new Date(seconds * 1000)
  return Number.isNaN(date.getTime()) ? `${seconds} s after 1970` : date.toISOString()
}
