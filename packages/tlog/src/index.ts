/**
 * Transparency logs of C2SP (c2sp.org), computed in ECMAScript alone: Merkle trees and their proofs (RFC 6962), tiles, signed
 * notes, checkpoints, cosignatures, witness policies and offline proofs. No function does I/O or reads a clock.
 *
 * Hashes are strings: the canonical base64 of 32 bytes. Sizes and indexes are integers from 0 to 2^53 - 1. A function throws
 * {@link TlogError} for input that its specification does not allow. Functions that hash, encode or sign take an optional
 * {@link Hasher}, {@link Codec} or {@link KeyCrypto}, by which a runtime passes its native primitives. A {@link Kernel} hashes whole batches
 * in binary.
 *
 * @packageDocumentation
 */
export { TlogError } from './errors.ts'

export { isCanonicalBase64 } from './base64.ts'
export { concatBytes, equalBytes, hexDecode, hexEncode, pureCodec, type Codec } from './codec.ts'
export {
  EMPTY_ROOT,
  HASH_LENGTH,
  HASH_SIZE,
  bytesHash,
  hashBytes,
  isHash,
  nobleHasher,
  type Hash,
  type Hasher,
} from './hash.ts'
export type { BundleContent, Extension, Kernel } from './kernel/kernel.ts'
export { plainKernel } from './kernel/plain.ts'
export { wasmKernel, type WasmKernelOptions } from './kernel/wasm.ts'
export { MAX_SIZE, isSize, parseDecimal } from './math.ts'

export { Edge, edgeNodes, foldNodes, type Node } from './edge.ts'
export {
  computeProof,
  consistencyPlan,
  inclusionPlan,
  nodeHash,
  planTiles,
  rootFromInclusion,
  rootPlan,
  subtreeRoot,
  verifyConsistency,
  verifyInclusion,
  type Consistency,
  type Inclusion,
  type Plan,
  type TileHashes,
} from './proof.ts'

export {
  MAX_TILE_LEVEL,
  STORED_SUFFIX,
  TILE_HEIGHT,
  TILE_WIDTH,
  checkTile,
  levelWidth,
  newTiles,
  parseStoredPath,
  parseTilePath,
  partialWidth,
  storedPath,
  tileCount,
  tilePath,
  tileSpan,
  tileWidth,
  tilesOf,
  treeTiles,
  type NewTiles,
  type Tile,
} from './tile.ts'
export {
  MAX_ENTRY_SIZE,
  bundleFromBinary,
  bundleToBinary,
  formatBundle,
  formatHashTile,
  hashTileFromBinary,
  hashTileToBinary,
  parseBundle,
  parseHashTile,
} from './tile-text.ts'

export {
  MAX_NOTE_LENGTH,
  MAX_SIGNATURES,
  TYPE_ED25519,
  TYPE_ED25519_COSIGNATURE,
  TYPE_MLDSA44_COSIGNATURE,
  checkNoteText,
  formatKeyId,
  formatNote,
  formatSignatureLine,
  formatVkey,
  isKeyName,
  keyId,
  openNote,
  parseNote,
  parseSignatureLine,
  parseVkey,
  signNote,
  type Signature,
  type Signer,
  type Verifier,
  type Vkey,
} from './note.ts'
export {
  formatSignerKey,
  parseSignerKey,
  signerFromKey,
  signerVkey,
  verifierFromVkey,
  type KeySigner,
  type KeyVerifier,
  type SignerKey,
  type SignerOptions,
} from './keys.ts'
export type { KeyCrypto } from './scheme.ts'
export { ed25519Verify } from './ed25519.ts'
export { ed25519KeyProblem } from './ed25519-key.ts'

export {
  SHA256_ROOTS,
  formatCheckpointText,
  openCheckpoint,
  parseCheckpointText,
  type Checkpoint,
  type RootForm,
} from './checkpoint.ts'
export { HashTree, foldHashes, rootForm, tileLines, tileFromLines, type TreeHash } from './hash-tree.ts'
export {
  ED25519_SIGNATURE_SIZE,
  MLDSA44_SIGNATURE_SIZE,
  checkpointCosignatureMessage,
  ed25519CosignatureMessage,
  formatTimestampedSignature,
  parseTimestampedSignature,
  subtreeMessage,
  type CosignedSubtree,
  type TimestampedSignature,
} from './cosignature.ts'
export {
  MAX_POLICY_SIZE,
  checkPolicy,
  checkQuorum,
  parsePolicy,
  type CheckOptions,
  type Policy,
  type PolicyGroup,
  type PolicyLog,
  type PolicyResult,
  type PolicyWitness,
} from './policy.ts'
export {
  formatTlogProof,
  parseTlogProof,
  verifyTlogProof,
  type TlogProof,
  type VerifiedTlogProof,
} from './tlog-proof.ts'
