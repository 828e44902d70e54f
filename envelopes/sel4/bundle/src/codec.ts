/// <reference lib="es2024.string" />
/** Text, base64 and hashes by functions of the machine. */
import { concatBytes, pureCodec, type Codec } from '@service-fs/tlog/codec'
import { TlogError } from '@service-fs/tlog/errors'
import type { Hasher } from '@service-fs/tlog/hash'
import type { Host } from './host.ts'

/** Returns an ArrayBuffer of exactly the view's bytes: a copy, unless the view covers its whole buffer. */
export function exactBuffer(bytes: Uint8Array): ArrayBuffer {
  const { buffer } = bytes as Uint8Array<ArrayBuffer>
  return bytes.length === buffer.byteLength ? buffer : bytes.slice().buffer
}

/** Returns the machine's codec. It rejects text with a NUL, because NUL is invalid in JSON and in a ledger's texts. */
export function hostCodec(host: Host): Codec {
  return {
    utf8Encode(text) {
      if (text.includes('\0') || !text.isWellFormed()) return pureCodec.utf8Encode(text)
      return new Uint8Array(host.utf8Encode(text))
    },
    utf8Decode(bytes) {
      const text = host.utf8Decode(exactBuffer(bytes))
      if (text === undefined) throw new TlogError('utf8', 'expected UTF-8 without NUL')
      return text
    },
    asciiEncode: (text) => new Uint8Array(host.utf8Encode(text)),
    base64Encode: (bytes) => host.base64Encode(exactBuffer(bytes)),
    base64Decode(text) {
      const bytes = host.base64Decode(text)
      // The border cuts a text at its first NUL, so a text with a NUL decodes to too few bytes.
      if (bytes === undefined || Math.ceil(bytes.byteLength / 3) * 4 !== text.length)
        throw new TlogError('base64', 'expected canonical padded base64')
      return new Uint8Array(bytes)
    },
    concat: concatBytes,
  }
}

export function hostHasher(host: Host): Hasher {
  return {
    leaf: (entry) => host.hashLeaf(exactBuffer(entry)),
    node: (left, right) => host.hashNode(left, right),
    sha256: (data) => new Uint8Array(host.sha256(exactBuffer(data))),
  }
}
