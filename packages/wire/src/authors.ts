/** The functions by which the wire verifies the signatures of authors; an envelope provides them. */
import type { NewRecord, RecordSignature } from '@service-fs/ledger/record'

/** A record as a client sent it. Its signature, if any, is not verified yet. */
export interface SentRecord extends Omit<NewRecord, 'signature'> {
  readonly signature?: string | undefined
}

/** Verifies the signatures of authors, and knows which records must have one. */
export interface Authors {
  /** Verifies a signature of `payload` that a client sent as text. @throws an error with the name SignatureError */
  verify(payload: Uint8Array, text: string): Promise<RecordSignature>
  /** Reports whether the ledger requires a signature for records of this type. */
  requires(type: string): boolean
}
