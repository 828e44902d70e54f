/** The host functions without state: clocks, hashes, text, base64, and verifying signatures. */
import { isUtf8 } from 'node:buffer'
import { hash, randomBytes } from 'node:crypto'
import { nativeCrypto } from '@service-fs/native/native'
import { Utf8, type HostFunction } from './engine.ts'

/** A prefix byte and the largest entry of tlog-tiles. */
const LEAF_BYTES = 1 + 65_535
const leaf = Buffer.alloc(LEAF_BYTES)
const node = Buffer.alloc(65, 0x01)

export const MACHINE: Readonly<Record<string, HostFunction>> = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
  random: (given) => randomBytes(given.number(0)),
  sha256: (given) => hash('sha256', given.bytes(0), 'buffer'),
  hashLeaf(given) {
    const entry = given.bytes(0)
    if (entry.length >= LEAF_BYTES) return hash('sha256', Buffer.concat([Buffer.alloc(1), entry]), 'base64')
    leaf.set(entry, 1)
    return hash('sha256', leaf.subarray(0, entry.length + 1), 'base64')
  },
  hashNode(given) {
    given.utf8(0, (left) => node.write(left.toString('latin1'), 1, 32, 'base64'))
    given.utf8(1, (right) => node.write(right.toString('latin1'), 33, 32, 'base64'))
    return hash('sha256', node, 'base64')
  },
  // Copy the bytes: they are freed before the result enters the engine.
  utf8Encode: (given) => given.utf8(0, (bytes) => Buffer.from(bytes)),
  utf8Decode(given) {
    const bytes = given.bytes(0)
    return isUtf8(bytes) && !bytes.includes(0) ? new Utf8(bytes) : undefined
  },
  base64Encode: (given) => given.bytes(0).toString('base64'),
  base64Decode: (given) =>
    given.utf8(0, (bytes) => {
      const text = bytes.toString('latin1')
      const decoded = Buffer.from(text, 'base64')
      // Buffer accepts malformed base64, but only canonical text encodes to itself.
      return decoded.toString('base64') === text ? decoded : undefined
    }),
  ed25519Verify: (given) =>
    nativeCrypto.ed25519Verify?.(given.bytes(2), given.bytes(1), given.bytes(0)) === true,
}
