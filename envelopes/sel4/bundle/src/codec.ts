/// <reference lib="es2024.string" />
/** Text, base64 and hashes by the machine's own functions. */
import { concatBytes, pureCodec, type Codec } from '@service-fs/tlog/codec'
import { TlogError } from '@service-fs/tlog/errors'
import type { Hasher } from '@service-fs/tlog/hash'
import type { Host } from './host.ts'

/** The view's bytes as an ArrayBuffer of just these; a copy unless the view is all of its buffer. */
export function exactBuffer(bytes: Uint8Array): ArrayBuffer {
  const { buffer } = bytes as Uint8Array<ArrayBuffer>
  return bytes.length === buffer.byteLength ? buffer : bytes.slice().buffer
}

/** Unlike the portable codec it decodes no text with a NUL, which no text of a ledger and no JSON has. */
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
      // The border ends a text at a NUL: then there are fewer bytes than the text has to have.
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
