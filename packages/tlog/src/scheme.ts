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

// Signature types 0x01, 0x04 and 0x06: their primitives, and the message that each signs for a note text.

/**
 * Native primitives. Each is optional; the default is pure ECMAScript. `ed25519Verify` must accept exactly the signatures that
 * this package's function of that name accepts. Arguments are in the order of @noble/curves. A key is always passed as the same
 * object, so an implementation can cache derived keys in a WeakMap.
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
  /** Whether a signature is a `timestamped_signature` of tlog-cosignature. */
  timestamped: boolean
  /** Bytes of a signature, without its time. */
  signatureSize: number
  primitive(crypto: KeyCrypto): Primitive
  /** Returns the bytes to sign for a note text. @throws TlogError if the type cannot sign this text */
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

/** Expanded keys by seed, because the expansion is slow. */
const expandedKeys = new WeakMap<Uint8Array, ExpandedKey>()

function expandSeed(seed: Uint8Array): ExpandedKey {
  let keys = expandedKeys.get(seed)
  if (keys === undefined) {
    keys = ml_dsa44.keygen(seed)
    expandedKeys.set(seed, keys)
  }
  return keys
}

/** Signs deterministically (FIPS 204 section 3.4), so that it needs no randomness. */
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

/** Returns the scheme of a signature type. @throws TlogError with `code` for other types */
export function schemeOf(type: number, code: string): Scheme {
  const scheme = SCHEMES.get(type)
  if (scheme !== undefined) return scheme
  throw new TlogError(
    code,
    `expected a key of type 0x01, 0x04 or 0x06, found 0x${type.toString(16).padStart(2, '0')}`,
  )
}
