/** The records of a pack, and the numbers of its report. */
import type { Selection } from '@service-fs/format/selection'
import type { AuthorJudgement } from '../author-judgement.ts'
import type { SignatureVerifier } from '../companions.ts'
import type { PackDuties } from './pack-duties.ts'

/** A record of a pack, as its index shows it. */
export interface PackedRecord {
  /** Index of the record's first entry, plus 1. */
  cursor: number
  id: string
  type: string
  /** The time at which the ledger accepted the record, by its clock, in RFC 3339 and UTC. */
  time: string
  /** The number of the record's entries. */
  entries: number
  /** Bytes of the content. */
  size: number
  /** The leaf hash of the first entry (RFC 6962 §2.1), in base64. */
  leafHash: string
  /** The SHA-256 of the content, in hex. */
  sha256: string
  /** The path of the content in the pack. */
  file: string
  /** The path of its .tlog-proof. */
  proof: string
  /** The signature of its author; absent if the header names none. */
  author?: PackedAuthor
  /** In a record with a signature: the identifier of the signed record. */
  signatureOf?: string
}

/** The signature of a record's author, with the judgement of the program that made the pack. */
export interface PackedAuthor extends AuthorJudgement {
  /** The record with the signature; absent if it is missing. */
  signature?: Pick<PackedRecord, 'cursor' | 'file' | 'proof'>
}

/** The number of signed records, and of those whose signatures verify. */
export interface AuthorCounts {
  signed: number
  verified: number
}

/** The entry of the audit sub-ledger that records a pack. */
export interface RecordedPack {
  /** The origin of the sub-ledger, and its keys. */
  origin: string
  vkeys: readonly string[]
  index: number
  /** The content of the entry, and its .tlog-proof. */
  payload: Uint8Array
  proof: string
}

export interface PackOptions {
  selection: Selection
  /**
   * The audit entry that records the pack; `by-server` when a server records the reads of the program that makes the pack. Absent if
   * nothing records the pack.
   */
  recorded?: RecordedPack | 'by-server' | undefined
  /** Verifies the signatures of authors. */
  signatures: SignatureVerifier
  /** `signatures` accepts only those that lead to a trust anchor. */
  isAnchored?: boolean | undefined
  /** The time and the program that the report names. */
  made: string
  program: string
  /** Called while entries are read. */
  progress?: ((entries: number, size: number) => void) | undefined
}

export interface PackSummary {
  origin: string
  /** Entries of the ledger: all of them were read and verified. */
  size: number
  root: string
  /** Records of the ledger. */
  recordsRead: number
  /** Records of the pack. */
  records: number
  /** Those of them that are not selected: each has the signature of a selected record. */
  signatures: number
  /** Bytes of their contents. */
  bytes: number
  /** The keys were pinned by the caller. */
  pinned: boolean
  /** The signed records of the pack, and those whose signatures verify. */
  authors: AuthorCounts
}

/** The number of entries by which an operator corrected the ledger's clock, and the first of them. */
export interface ClockCorrections {
  count: number
  first: { cursor: number; time: string }[]
}

/** Findings from the ledger's entries that are not about a single record. */
export interface PackFindings {
  corrections: ClockCorrections
  duties: PackDuties
}
