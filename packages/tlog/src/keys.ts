import { concatBytes, pureCodec } from './codec.ts'
import { formatTimestampedSignature, parseTimestampedSignature } from './cosignature.ts'
import { TlogError } from './errors.ts'
import {
  checkPublicKey,
  decodeKey,
  formatKeyId,
  formatSignatureLine,
  formatVkey,
  isKeyName,
  keyId,
  parseVkey,
  type Signer,
  type Verifier,
  type Vkey,
} from './note.ts'
import { schemeOf, type KeyCrypto, type Scheme } from './scheme.ts'

/** A verifier for a vkey. */
export interface KeyVerifier extends Verifier {
  readonly vkey: Vkey
  /** Returns the time of a cosignature (types 0x04 and 0x06) in POSIX seconds, unverified; undefined for other types. */
  cosignedAt(signature: Uint8Array): number | undefined
}

/**
 * Returns a verifier for a vkey of type 0x01, 0x04 or 0x06. Types 0x04 and 0x06 verify checkpoints only.
 * @throws TlogError `vkey` if the vkey is malformed, has another type, or its public key has low order
 */
export function verifierFromVkey(vkey: string | Vkey, crypto: KeyCrypto = {}): KeyVerifier {
  const key = typeof vkey === 'string' ? parseVkey(vkey, crypto.hasher, crypto.codec) : vkey
  checkPublicKey(key)
  const scheme = schemeOf(key.type, 'vkey')
  const primitive = scheme.primitive(crypto)
  const codec = crypto.codec ?? pureCodec
  return {
    name: key.name,
    keyId: key.keyId,
    vkey: key,
    cosignedAt: (bytes) =>
      scheme.timestamped ? attempt(() => openSignature(scheme, bytes).timestamp) : undefined,
    verify(text, bytes) {
      const valid = attempt(() => {
        const { timestamp, signature } = openSignature(scheme, bytes)
        return primitive.verify(signature, scheme.message(key.name, timestamp, text, codec), key.publicKey)
      })
      return valid === true
    },
  }
}

function openSignature(scheme: Scheme, bytes: Uint8Array): { timestamp: number; signature: Uint8Array } {
  if (scheme.timestamped) return parseTimestampedSignature(bytes, scheme.signatureSize)
  if (bytes.length === scheme.signatureSize) return { timestamp: 0, signature: bytes }
  throw new TlogError(
    'signature',
    `expected a signature of ${scheme.signatureSize} bytes, found ${bytes.length}`,
  )
}

/** Returns the result of `compute`, or undefined if it throws. */
function attempt<T>(compute: () => T): T | undefined {
  try {
    return compute()
  } catch {
    return undefined
  }
}

/** A private key. Its seed has 32 bytes (RFC 8032 section 5.1.5, or ξ of FIPS 204 section 6.1). */
export interface SignerKey {
  name: string
  keyId: number
  /** 0x01, 0x04 or 0x06. */
  type: number
  seed: Uint8Array
}

const SEED_SIZE = 32
const SIGNER_KEY = /^PRIVATE\+KEY\+([^+]+)\+([0-9a-f]{8})\+([^+].*)$/s

/**
 * Parses `PRIVATE+KEY+<name>+<key id in hex>+<base64 of type and seed>`, the format of golang.org/x/mod/sumdb/note. Does not
 * check
 * the key id; {@link signerFromKey} does.
 * @throws TlogError `signer-key`, whose message does not quote the key
 */
export function parseSignerKey(text: string): SignerKey {
  const match = SIGNER_KEY.exec(text)
  if (match === null) throw signerKeyError('PRIVATE+KEY+<name>+<8 hex digits>+<base64>', 'an invalid key')
  const bytes = decodeKey(match[3]!, 'signer-key')
  const key = { name: match[1]!, keyId: Number(`0x${match[2]!}`), type: bytes[0]!, seed: bytes.subarray(1) }
  checkSignerKey(key)
  return key
}

/** Formats a private key with the key id of its public key. @throws TlogError `signer-key` */
export function formatSignerKey(key: Omit<SignerKey, 'keyId'>, crypto: KeyCrypto = {}): string {
  const id = formatKeyId(signerVkey(key, crypto).keyId)
  const secret = concatBytes(new Uint8Array([key.type]), key.seed)
  return `PRIVATE+KEY+${key.name}+${id}+${(crypto.codec ?? pureCodec).base64Encode(secret)}`
}

/** Returns the verifier key of a private key. @throws TlogError `signer-key` */
export function signerVkey(key: Omit<SignerKey, 'keyId'>, crypto: KeyCrypto = {}): Vkey {
  checkSignerKey(key)
  const { name, type, seed } = key
  const publicKey = schemeOf(type, 'signer-key').primitive(crypto).publicKey(seed)
  return { name, keyId: keyId(name, type, publicKey, crypto.hasher, crypto.codec), type, publicKey }
}

function checkSignerKey({ name, type, seed }: Omit<SignerKey, 'keyId'>): void {
  if (!isKeyName(name)) throw signerKeyError('a key name without spaces or plus', 'an invalid name')
  schemeOf(type, 'signer-key')
  if (seed.length !== SEED_SIZE) throw signerKeyError(`a seed of ${SEED_SIZE} bytes`, `${seed.length}`)
}

function signerKeyError(expected: string, found: string): TlogError {
  return new TlogError('signer-key', `expected ${expected}, found ${found}`)
}

/** Options of {@link signerFromKey}. */
export interface SignerOptions extends KeyCrypto {
  /** Returns the time in POSIX seconds. The fraction is dropped. Required for types 0x04 and 0x06. */
  now?: () => number
}

/** A signer with a private key. */
export interface KeySigner extends Signer {
  readonly name: string
  readonly keyId: number
  readonly type: number
}

/**
 * Returns a signer for a private key of type 0x01, 0x04 or 0x06. Types 0x04 and 0x06 sign checkpoints only, with the time
 * `now()`.
 * @throws TlogError `signer-key`
 */
export function signerFromKey(text: string, options: SignerOptions = {}): KeySigner {
  const key = parseSignerKey(text)
  const { name, type, seed } = key
  const vkey = signerVkey(key, options)
  if (vkey.keyId !== key.keyId) {
    throw signerKeyError(`key id ${formatKeyId(vkey.keyId)}`, formatKeyId(key.keyId))
  }
  const scheme = schemeOf(type, 'signer-key')
  const { codec = pureCodec, now } = options
  if (scheme.timestamped && now === undefined) throw signerKeyError('a clock for a cosigner key', 'none')
  const primitive = scheme.primitive(options)
  return {
    name,
    keyId: key.keyId,
    type,
    vkey: formatVkey(vkey, codec),
    async sign(noteText) {
      const timestamp = Math.floor(now?.() ?? 0)
      const signature = await primitive.sign(scheme.message(name, timestamp, noteText, codec), seed)
      const bytes = scheme.timestamped ? formatTimestampedSignature({ timestamp, signature }) : signature
      return formatSignatureLine(name, key.keyId, bytes, codec)
    },
  }
}
