import { ed25519 } from '@noble/curves/ed25519.js'
import { ml_dsa44 } from '@noble/post-quantum/ml-dsa.js'
import { parseCheckpointText } from './checkpoint.ts'
import { type Codec } from './codec.ts'
import {
  ED25519_SIGNATURE_SIZE,
  MLDSA44_SIGNATURE_SIZE,
  checkpointCosignatureMessage,
  ed25519CosignatureMessage,
} from './cosignature.ts'
import { ed25519Verify } from './ed25519.ts'
import { TlogError } from './errors.ts'
import { type Hasher } from './hash.ts'
import { TYPE_ED25519, TYPE_ED25519_COSIGNATURE, TYPE_MLDSA44_COSIGNATURE, checkNoteText } from './note.ts'

// How the signature types 0x01, 0x04 and 0x06 turn a note text into a signed message.

/**
 * Native primitives, each optional: what is absent is this package's. `ed25519Verify` decides as this package's does, whatever the
 * key and the signature. Arguments are in @noble's order. Seeds and public keys are
 * passed as the same objects every time, so that an implementation may keep what it derives in a WeakMap.
 */
export interface KeyCrypto {
  ed25519Verify?: (signature: Uint8Array, message: Uint8Array, publicKey: Uint8Array) => boolean
  ed25519Sign?: (message: Uint8Array, seed: Uint8Array) => Uint8Array | Promise<Uint8Array>
  ed25519PublicKey?: (seed: Uint8Array) => Uint8Array
  mldsa44Verify?: (signature: Uint8Array, message: Uint8Array, publicKey: Uint8Array) => boolean
  mldsa44Sign?: (message: Uint8Array, seed: Uint8Array) => Uint8Array | Promise<Uint8Array>
  mldsa44PublicKey?: (seed: Uint8Array) => Uint8Array
  codec?: Codec
  hasher?: Hasher
}

/** One signature algorithm. */
export interface Primitive {
  verify(signature: Uint8Array, message: Uint8Array, publicKey: Uint8Array): boolean
  sign(message: Uint8Array, seed: Uint8Array): Uint8Array | Promise<Uint8Array>
  publicKey(seed: Uint8Array): Uint8Array
}

/** One signature type of signed-note. */
export interface Scheme {
  /** Whether the signature is a `timestamped_signature` of tlog-cosignature. */
  timestamped: boolean
  /** The size of the algorithm's signature. */
  signatureSize: number
  primitive(crypto: KeyCrypto): Primitive
  /** The signed bytes for a note text. Throws TlogError when the type cannot sign this text. */
  message(name: string, timestamp: number, text: string, codec: Codec): Uint8Array
}

function ed25519Primitive(crypto: KeyCrypto): Primitive {
  return {
    verify: crypto.ed25519Verify ?? ed25519Verify,
    sign: crypto.ed25519Sign ?? ((message, seed) => ed25519.sign(message, seed)),
    publicKey: crypto.ed25519PublicKey ?? ((seed) => ed25519.getPublicKey(seed)),
  }
}

function mldsa44Primitive(crypto: KeyCrypto): Primitive {
  return {
    verify:
      crypto.mldsa44Verify ??
      ((signature, message, publicKey) => ml_dsa44.verify(signature, message, publicKey)),
    sign: crypto.mldsa44Sign ?? signMldsa44,
    publicKey: crypto.mldsa44PublicKey ?? ((seed) => expandSeed(seed).publicKey),
  }
}

interface ExpandedKey {
  secretKey: Uint8Array
  publicKey: Uint8Array
}

const expandedKeys = new WeakMap<Uint8Array, ExpandedKey>()

function expandSeed(seed: Uint8Array): ExpandedKey {
  let keys = expandedKeys.get(seed)
  if (keys === undefined) {
    keys = ml_dsa44.keygen(seed)
    expandedKeys.set(seed, keys)
  }
  return keys
}

/** Deterministic (FIPS 204 section 3.4), so that no randomness is needed. */
function signMldsa44(message: Uint8Array, seed: Uint8Array): Uint8Array {
  return ml_dsa44.sign(message, expandSeed(seed).secretKey, { extraEntropy: false })
}

const SCHEMES: ReadonlyMap<number, Scheme> = new Map<number, Scheme>([
  [
    TYPE_ED25519,
    {
      timestamped: false,
      signatureSize: ED25519_SIGNATURE_SIZE,
      primitive: ed25519Primitive,
      message(_name, _timestamp, text, codec) {
        checkNoteText(text)
        return codec.utf8Encode(text)
      },
    },
  ],
  [
    TYPE_ED25519_COSIGNATURE,
    {
      timestamped: true,
      signatureSize: ED25519_SIGNATURE_SIZE,
      primitive: ed25519Primitive,
      message: (_name, timestamp, text, codec) => ed25519CosignatureMessage(timestamp, text, codec),
    },
  ],
  [
    TYPE_MLDSA44_COSIGNATURE,
    {
      timestamped: true,
      signatureSize: MLDSA44_SIGNATURE_SIZE,
      primitive: mldsa44Primitive,
      message: (name, timestamp, text, codec) =>
        checkpointCosignatureMessage(name, timestamp, parseCheckpointText(text), codec),
    },
  ],
])

/** The scheme of a signature type. Throws TlogError with `code` when it is not one of the three. */
export function schemeOf(type: number, code: string): Scheme {
  const scheme = SCHEMES.get(type)
  if (scheme !== undefined) return scheme
  throw new TlogError(
    code,
    `expected a key of type 0x01, 0x04 or 0x06, found 0x${type.toString(16).padStart(2, '0')}`,
  )
}
