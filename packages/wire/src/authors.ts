/** The functions by which the wire verifies the signatures of authors; an envelope provides them. */
import type { NewRecord, RecordSignature } from '@service-fs/ledger/record'

/** A record as a client sent it: its signature, if it has one, is not verified yet. */
export interface SentRecord extends Omit<NewRecord, 'signature'> {
  readonly signature?: string | undefined
}

/** Verifies the signatures of authors, and knows which records must have one. */
export interface Authors {
  /** Verifies a signature of `payload` that a client sent as text. @throws an error with the name SignatureError */
  verify(payload: Uint8Array, text: string): Promise<RecordSignature>
  /** Whether the ledger takes records of this type only with a signature. */
  requires(type: string): boolean
}
