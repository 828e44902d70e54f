/** The algorithms that a ledger may rest on, with their standing at a date: the table of docs/compliance.md, "Algorithms". */
import { TYPE_ED25519, TYPE_MLDSA44_COSIGNATURE } from '@service-fs/tlog/note'
import type { TreeAlgorithm } from '@service-fs/format/tree-binding'

/** The date of the table. */
export const AS_OF = '2026-11-30'

export interface AlgorithmFacts {
  name: string
  /** The document that specifies the algorithm. */
  standard: string
  /** The standing of the algorithm in a few words. docs/compliance.md names the sources. */
  standing: string
}

export const SHA_256: AlgorithmFacts = { name: 'SHA-256', standard: 'FIPS 180-4', standing: 'current' }

/** The hashes of second trees. */
export const TREE_HASHES: Readonly<Record<TreeAlgorithm, AlgorithmFacts>> = {
  'sha3-256': { name: 'SHA3-256', standard: 'FIPS 202', standing: 'current' },
  'sha2-512': { name: 'SHA-512', standard: 'FIPS 180-4', standing: 'current' },
  blake3: { name: 'BLAKE3', standard: 'BLAKE3 paper', standing: 'not standardized' },
}

/** The signatures of checkpoints, by the type byte of their keys. */
export const SIGNATURES: ReadonlyMap<number, AlgorithmFacts> = new Map([
  [TYPE_ED25519, { name: 'Ed25519', standard: 'RFC 8032', standing: 'until 2035' }],
  [TYPE_MLDSA44_COSIGNATURE, { name: 'ML-DSA-44', standard: 'FIPS 204', standing: 'current' }],
])

/** Returns the facts about the signatures of a key type. */
export function signatureOf(type: number): AlgorithmFacts {
  const name = `signature type 0x${type.toString(16).padStart(2, '0')}`
  return SIGNATURES.get(type) ?? { name, standard: 'unknown to this version', standing: 'unknown' }
}

/** All rows of the table. */
export const ALGORITHMS: readonly AlgorithmFacts[] = [
  SHA_256,
  ...Object.values(TREE_HASHES),
  ...SIGNATURES.values(),
]
