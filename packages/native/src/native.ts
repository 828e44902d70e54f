/// <reference lib="es2024.string" />
/** Implements the hash, key and codec interfaces of @service-fs/tlog with Node's SHA-256, Ed25519, UTF-8 and base64, which are faster. */
import { isUtf8 } from 'node:buffer'
import {
  createHash,
  createPrivateKey,
  createPublicKey,
  hash,
  sign,
  verify,
  type KeyObject,
} from 'node:crypto'
import { pureCodec, type Codec } from '@service-fs/tlog/codec'
import { TlogError } from '@service-fs/tlog/errors'
import type { Hash, Hasher } from '@service-fs/tlog/hash'
import type { Kernel } from '@service-fs/tlog/kernel/kernel'
import { wasmKernel } from '@service-fs/tlog/kernel/wasm'
import type { KeyCrypto } from '@service-fs/tlog/scheme'

/** The prefix byte and the largest entry of tlog-tiles. */
const SCRATCH_BYTES = 1 + 65_535
const leafScratch = Buffer.alloc(SCRATCH_BYTES)
const nodeScratch = Buffer.alloc(65, 0x01)

export const nativeHasher: Hasher = {
  leaf(entry: Uint8Array): Hash {
    if (entry.length >= SCRATCH_BYTES)
      return hash('sha256', Buffer.concat([Buffer.alloc(1), entry]), 'base64')
    leafScratch.set(entry, 1)
    return hash('sha256', leafScratch.subarray(0, entry.length + 1), 'base64')
  },
  node(left: Hash, right: Hash): Hash {
    nodeScratch.write(left, 1, 32, 'base64')
    nodeScratch.write(right, 33, 32, 'base64')
    return hash('sha256', nodeScratch, 'base64')
  },
  sha256: (data) => hash('sha256', data, 'buffer'),
}

/** Reports whether two arrays have the same bytes. Not for secrets: it stops at the first difference. */
export function equalBytes(a: Uint8Array, b: Uint8Array): boolean {
  return Buffer.compare(a, b) === 0
}

/** Returns the SHA-256 of `data` as 64 lower-case hex digits. */
export function sha256Hex(data: Uint8Array): string {
  return hash('sha256', data, 'hex')
}

/** Starts a SHA-256 over data in pieces; `hex()` returns it and ends the stream. */
export function sha256Stream(): { update(data: Uint8Array): void; hex(): string } {
  const state = createHash('sha256')
  return { update: (data) => void state.update(data), hex: () => state.digest('hex') }
}

const strictUtf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

/** It returns Buffers: their `slice` is a view, not a copy. */
export const nativeCodec: Codec = {
  utf8Encode: (text) => (text.isWellFormed() ? Buffer.from(text, 'utf8') : pureCodec.utf8Encode(text)),
  utf8Decode(bytes) {
    try {
      return strictUtf8.decode(bytes)
    } catch {
      // The portable codec throws an error that names the fault.
      return pureCodec.utf8Decode(bytes)
    }
  },
  isUtf8,
  asciiDecode: (bytes, start, end) => view(bytes).toString('latin1', start, end),
  asciiEncode: (text) => Buffer.from(text, 'latin1'),
  base64Encode: (bytes) => view(bytes).toString('base64'),
  base64Decode(text) {
    const bytes = Buffer.from(text, 'base64')
    // Buffer accepts malformed base64. Only canonical text encodes to itself again.
    if (bytes.toString('base64') !== text) throw new TlogError('base64', 'expected canonical padded base64')
    return bytes
  },
  concat(...parts) {
    let length = 0
    for (const part of parts) length += part.length
    const bytes = Buffer.allocUnsafe(length)
    let at = 0
    for (const part of parts) {
      bytes.set(part, at)
      at += part.length
    }
    return bytes
  },
}

/**
 * If entries have at least this mean length, in bytes, node:crypto hashes them faster than WebAssembly, although a call to node:crypto
 * costs more.
 */
const LONG_ENTRY = 400

/** The kernel of this thread: WebAssembly for short entries, node:crypto for long ones. */
export const nativeKernel: Kernel = wasmKernel({
  hasher: nativeHasher,
  codec: nativeCodec,
  longFrom: LONG_ENTRY,
})

function view(bytes: Uint8Array): Buffer {
  return Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}

/** The DER prefixes of a public and a private Ed25519 key (RFC 8410, sections 4 and 7). */
const SPKI = Buffer.from('302a300506032b6570032100', 'hex')
const PKCS8 = Buffer.from('302e020100300506032b657004220420', 'hex')

const publicKeys = new WeakMap<Uint8Array, KeyObject>()
const privateKeys = new WeakMap<Uint8Array, KeyObject>()

function publicKeyOf(bytes: Uint8Array): KeyObject {
  let key = publicKeys.get(bytes)
  if (key === undefined) {
    key = createPublicKey({ key: Buffer.concat([SPKI, bytes]), format: 'der', type: 'spki' })
    publicKeys.set(bytes, key)
  }
  return key
}

function privateKeyOf(seed: Uint8Array): KeyObject {
  let key = privateKeys.get(seed)
  if (key === undefined) {
    key = createPrivateKey({ key: Buffer.concat([PKCS8, seed]), format: 'der', type: 'pkcs8' })
    privateKeys.set(seed, key)
  }
  return key
}

/** Ed25519 (RFC 8032) by node:crypto. */
export const nativeCrypto: KeyCrypto = {
  ed25519Verify: (signature, message, publicKey) =>
    publicKey.length === 32 &&
    signature.length === 64 &&
    verify(null, message, publicKeyOf(publicKey), signature),
  ed25519Sign: (message, seed) => sign(null, message, privateKeyOf(seed)),
  ed25519PublicKey: (seed) =>
    createPublicKey(privateKeyOf(seed)).export({ format: 'der', type: 'spki' }).subarray(-32),
  codec: nativeCodec,
  hasher: nativeHasher,
}
