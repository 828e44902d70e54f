import { decodeBase64, isCanonicalBase64 } from './base64.ts'
import { concatBytes, hexDecode, hexEncode, pureCodec, type Codec } from './codec.ts'
import { ed25519KeyProblem } from './ed25519-key.ts'
import { TlogError, quote, recode } from './errors.ts'
import { nobleHasher, type Hasher } from './hash.ts'

// Signed notes: c2sp.org/signed-note. A note is a text with the signatures of one or more keys.

/** The longest note that is accepted, in UTF-16 code units. */
export const MAX_NOTE_LENGTH = 1_000_000
/** The most signatures of a note that are accepted. The specification requires at least 16. */
export const MAX_SIGNATURES = 100

/** Signature types (signed-note, "Signature types") that this package can sign and verify: Ed25519. */
export const TYPE_ED25519 = 0x01
/** Timestamped Ed25519 checkpoint cosignatures (c2sp.org/tlog-cosignature). */
export const TYPE_ED25519_COSIGNATURE = 0x04
/** Timestamped ML-DSA-44 (sub)tree cosignatures (c2sp.org/tlog-cosignature). */
export const TYPE_MLDSA44_COSIGNATURE = 0x06

/** Bytes of a public key by signature type. For these types, the specification also fixes the key id. */
export const PUBLIC_KEY_SIZES: ReadonlyMap<number, number> = new Map([
  [TYPE_ED25519, 32],
  [TYPE_ED25519_COSIGNATURE, 32],
  [TYPE_MLDSA44_COSIGNATURE, 1312],
])

/** One signature of a note. */
export interface Signature {
  name: string
  /** The key id, a uint32. */
  keyId: number
  /** The signature bytes, without the key id. */
  signature: Uint8Array
  /** The complete signature line, newline included. */
  line: string
}

/** Verifies the signatures of one key. */
export interface Verifier {
  readonly name: string
  readonly keyId: number
  /** Reports whether `signature`, without the key id, is a valid signature of the note text. Never throws. */
  verify(text: string, signature: Uint8Array): boolean
}

/** Signs note texts. The key may be in another process or device. */
export interface Signer {
  /** The verifier key. */
  readonly vkey: string
  /** Resolves to one or more complete signature lines, `— name base64\n`, for the note text. */
  sign(text: string): Promise<string>
}

// Matches control characters except newline.
const CONTROL = /[^\n\u0020-\uffff]/
// Matches control characters, Unicode White_Space, and plus.
const NOT_IN_NAME = /[^\u0021-\uffff]|[\u0085\u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000+]/
const LONE_SURROGATE = /[\ud800-\udfff]/u

/** Reports whether `name` is a valid key name: not empty, well-formed, without Unicode spaces, plus or control characters. */
export function isKeyName(name: string): boolean {
  return name !== '' && !NOT_IN_NAME.test(name) && !LONE_SURROGATE.test(name)
}

/**
 * Checks that `text` can be signed: it ends in a newline, is well-formed, and has no other control characters.
 * @throws TlogError `note`
 */
export function checkNoteText(text: string): void {
  if (!text.endsWith('\n')) throw malformed('a text that ends in a newline', text.slice(-20))
  checkCharacters(text)
}

function checkCharacters(text: string): void {
  if (text.length > MAX_NOTE_LENGTH) throw malformed(`at most ${MAX_NOTE_LENGTH} characters`, text)
  const control = CONTROL.exec(text)
  if (control !== null) throw malformed('no control characters but newline', control[0])
  if (LONE_SURROGATE.test(text)) throw malformed('well-formed Unicode', 'a lone surrogate')
}

function malformed(expected: string, found: string): TlogError {
  return new TlogError('note', `expected ${expected} in a signed note, found ${quote(found)}`)
}

/** Parses a signed note, and verifies none of its signatures. @throws TlogError `note` */
export function parseNote(note: string): { text: string; signatures: Signature[] } {
  checkCharacters(note)
  const split = note.lastIndexOf('\n\n')
  if (split === -1) throw malformed('a blank line before the signatures', note)
  const lines = note.slice(split + 2).split('\n')
  if (lines.pop() !== '') throw malformed('a newline at the end', note.slice(-20))
  if (lines.length === 0) throw malformed('at least one signature', note.slice(split))
  if (lines.length > MAX_SIGNATURES)
    throw malformed(`at most ${MAX_SIGNATURES} signatures`, String(lines.length))
  return { text: note.slice(0, split + 1), signatures: lines.map(parseSignatureLine) }
}

/** Parses a signature line, `— name base64`, with or without its newline. @throws TlogError `note` */
export function parseSignatureLine(line: string): Signature {
  const body = line.endsWith('\n') ? line.slice(0, -1) : line
  const space = body.indexOf(' ', 2)
  const name = body.slice(2, space)
  if (!body.startsWith('\u2014 ') || space === -1) throw malformed('a line \u2014 <name> <base64>', line)
  if (!isKeyName(name)) throw malformed('a key name without spaces or plus', name)
  const bytes = recode('note', () => decodeBase64(body.slice(space + 1)))
  if (bytes.length < 5) throw malformed('a key id and a signature', line)
  return { name, keyId: readUint32(bytes), signature: bytes.subarray(4), line: `${body}\n` }
}

/** Formats a signature line, newline included. @throws TlogError `note` for an invalid name or an empty signature */
export function formatSignatureLine(
  name: string,
  keyIdOfLine: number,
  signature: Uint8Array,
  codec: Codec = pureCodec,
): string {
  if (!isKeyName(name)) throw malformed('a key name without spaces or plus', name)
  if (signature.length === 0) throw malformed('a signature of at least one byte', '')
  return `\u2014 ${name} ${codec.base64Encode(concatBytes(uint32(keyIdOfLine), signature))}\n`
}

/** Formats a note from its text and complete signature lines. @throws TlogError `note` if the result would not parse */
export function formatNote(text: string, lines: readonly string[]): string {
  checkNoteText(text)
  const note = `${text}\n${lines.join('')}`
  if (parseNote(note).text !== text) throw malformed('signature lines only below the text', lines.join(''))
  return note
}

/** Signs a text with all signers, and returns the note with their signatures in order. */
export async function signNote(text: string, signers: readonly Signer[]): Promise<string> {
  return formatNote(text, await Promise.all(signers.map((signer) => signer.sign(text))))
}

/**
 * Verifies a note. Returns its text and the verified signatures, without repeated lines. Ignores signatures of unknown keys; a
 * key
 * is known if a verifier has its name and its id.
 * @throws TlogError `note` if malformed, `signature` if the signature of a known key does not verify, `ambiguous-key` if two
 * verifiers have the same name and id, `unverified` if no known key signed
 */
export function openNote(
  note: string,
  verifiers: readonly Verifier[],
): { text: string; signatures: Signature[] } {
  const { text, signatures } = parseNote(note)
  const verified = new Map<string, Signature>()
  for (const signature of signatures) {
    const known = verifiers.filter((v) => v.keyId === signature.keyId && v.name === signature.name)
    if (known.length === 0 || verified.has(signature.line)) continue
    const key = `${signature.name}+${formatKeyId(signature.keyId)}`
    if (known.length > 1)
      throw new TlogError('ambiguous-key', `expected one verifier of ${quote(key)}, found several`)
    if (!known[0]!.verify(text, signature.signature)) {
      throw new TlogError(
        'signature',
        `expected a valid signature of ${quote(key)}, found one that does not verify`,
      )
    }
    verified.set(signature.line, signature)
  }
  if (verified.size === 0) {
    throw new TlogError('unverified', 'expected a signature of a known key, found none')
  }
  return { text, signatures: [...verified.values()] }
}

/** A verifier key (signed-note, "Verifier keys"). */
export interface Vkey {
  name: string
  /** A uint32. */
  keyId: number
  /** The signature type, one byte. */
  type: number
  /** The public key as its signature type encodes it. */
  publicKey: Uint8Array
}

/** Returns the recommended key id: the first four bytes of SHA-256(name || 0x0A || type || public key), big-endian. */
export function keyId(
  name: string,
  type: number,
  publicKey: Uint8Array,
  hasher: Hasher = nobleHasher,
  codec: Codec = pureCodec,
): number {
  return readUint32(
    hasher.sha256(concatBytes(codec.utf8Encode(`${name}\n`), new Uint8Array([type]), publicKey)),
  )
}

const VKEY = /^([^+]+)\+([0-9a-f]{8})\+([^+].*)$/s

/**
 * Parses a verifier key, `<name>+<key id in hex>+<base64 of type and public key>`. For types 0x01, 0x04 and 0x06 it checks the
 * size of the public key and the key id. An Ed25519 key must be the canonical encoding of a point that is not of low order.
 * @throws TlogError `vkey`
 */
export function parseVkey(text: string, hasher: Hasher = nobleHasher, codec: Codec = pureCodec): Vkey {
  const match = VKEY.exec(text)
  if (match === null)
    throw new TlogError('vkey', `expected <name>+<8 hex digits>+<base64>, found ${quote(text)}`)
  const name = match[1]!
  const id = readUint32(hexDecode(match[2]!))
  if (!isKeyName(name))
    throw new TlogError('vkey', `expected a key name without spaces, found ${quote(name)}`)
  const bytes = decodeKey(match[3]!, 'vkey')
  const vkey: Vkey = { name, keyId: id, type: bytes[0]!, publicKey: bytes.subarray(1) }
  if (PUBLIC_KEY_SIZES.has(vkey.type)) checkKnownVkey(vkey, hasher, codec)
  return vkey
}

/** Decodes the base64 of a type and a key. @throws TlogError with `code`, whose message does not quote the key */
export function decodeKey(base64: string, code: string): Uint8Array {
  if (!isCanonicalBase64(base64))
    throw new TlogError(code, 'expected a key in canonical base64, found invalid text')
  const bytes = decodeBase64(base64)
  if (bytes.length < 2)
    throw new TlogError(code, `expected a signature type and a key, found ${bytes.length} bytes`)
  return bytes
}

/** Public keys that passed the check, so that the keys of a policy are not checked again for every checkpoint. */
const checkedKeys = new WeakSet<Uint8Array>()

/**
 * Checks the public key of types 0x01, 0x04 and 0x06: its size, and that Ed25519 keys are canonical and not of low order.
 * @throws TlogError `vkey`
 */
export function checkPublicKey({ type, publicKey }: Pick<Vkey, 'type' | 'publicKey'>): void {
  const size = PUBLIC_KEY_SIZES.get(type)
  if (size === undefined) return
  if (publicKey.length !== size) {
    throw new TlogError('vkey', `expected a public key of ${size} bytes, found ${publicKey.length}`)
  }
  // Any 1,312 bytes are a valid ML-DSA-44 key (FIPS 204 section 7.2).
  if (type === TYPE_MLDSA44_COSIGNATURE || checkedKeys.has(publicKey)) return
  const problem = ed25519KeyProblem(publicKey)
  if (problem !== undefined) throw new TlogError('vkey', `expected an Ed25519 public key, found ${problem}`)
  checkedKeys.add(publicKey)
}

function checkKnownVkey(vkey: Vkey, hasher: Hasher, codec: Codec): void {
  checkPublicKey(vkey)
  const expected = keyId(vkey.name, vkey.type, vkey.publicKey, hasher, codec)
  if (vkey.keyId !== expected) {
    throw new TlogError('vkey', `expected key id ${formatKeyId(expected)}, found ${formatKeyId(vkey.keyId)}`)
  }
}

/** Formats a verifier key; the inverse of {@link parseVkey}. @throws TlogError `vkey` for an invalid name */
export function formatVkey(vkey: Vkey, codec: Codec = pureCodec): string {
  if (!isKeyName(vkey.name)) {
    throw new TlogError('vkey', `expected a key name without spaces or plus, found ${quote(vkey.name)}`)
  }
  const key = codec.base64Encode(concatBytes(new Uint8Array([vkey.type]), vkey.publicKey))
  return `${vkey.name}+${formatKeyId(vkey.keyId)}+${key}`
}

/** Formats a key id as eight lowercase hexadecimal digits. */
export function formatKeyId(id: number): string {
  return hexEncode(uint32(id))
}

function uint32(n: number): Uint8Array {
  return new Uint8Array([n >>> 24, n >>> 16, n >>> 8, n])
}

function readUint32(bytes: Uint8Array): number {
  return ((bytes[0]! << 24) | (bytes[1]! << 16) | (bytes[2]! << 8) | bytes[3]!) >>> 0
}
