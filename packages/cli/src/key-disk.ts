/** The appliance's key disk, as it is made on a host; its format is in docs/keys.md. */
import { createHash } from 'node:crypto'
import { nativeCodec, nativeCrypto } from '@service-fs/native/native'
import { signerVkey } from '@service-fs/tlog/keys'
import { TYPE_ED25519 } from '@service-fs/tlog/note'

/** Bytes of a key disk. */
export const KEY_DISK_BYTES: number = 1 << 20
/** Bytes of a key's name, at most. */
export const LONGEST_KEY_NAME = 256

const SECTOR = 512
const BLOCK = 8 * SECTOR
const MAGIC = 'service-fs keys\n'
const VERSION = 1
const SUPERBLOCK = 1
const PRIVATE = 2
/** Where a record's SHA-256 is, of all that is in front of it. */
const HASH = 480

/** An Ed25519 key and its name. */
export interface DiskKey {
  name: string
  /** 32 bytes. */
  seed: Uint8Array
}

/** The content of a key disk with these keys, of which none has signed anything. */
export function keyDisk(keys: readonly DiskKey[]): Buffer {
  const disk = Buffer.alloc(KEY_DISK_BYTES)
  for (const [place, key] of keys.entries()) {
    const at = BLOCK * (2 + 3 * place)
    writeKey(begin(disk, at, PRIVATE, 0n), key)
    seal(disk, at)
  }
  // In the second slot the first one, then the second one in the first.
  for (const sequence of [1, 2]) {
    const at = sequence === 1 ? BLOCK : 0
    begin(disk, at, SUPERBLOCK, BigInt(sequence)).writeUInt32LE(keys.length, 32)
    seal(disk, at)
  }
  return disk
}

function begin(disk: Buffer, at: number, kind: number, sequence: bigint): Buffer {
  const sector = disk.subarray(at, at + SECTOR)
  sector.write(MAGIC, 'latin1')
  sector.writeUInt32LE(VERSION, 16)
  sector.writeUInt32LE(kind, 20)
  sector.writeBigUInt64LE(sequence, 24)
  return sector
}

function writeKey(sector: Buffer, { name, seed }: DiskKey): void {
  const bytes = nativeCodec.utf8Encode(name)
  sector.writeUInt32LE(TYPE_ED25519, 32)
  sector.writeUInt32LE(bytes.length, 36)
  sector.set(seed, 40)
  sector.set(signerVkey({ name, type: TYPE_ED25519, seed }, nativeCrypto).publicKey, 72)
  sector.set(bytes, 104)
}

function seal(disk: Buffer, at: number): void {
  disk.set(
    createHash('sha256')
      .update(disk.subarray(at, at + HASH))
      .digest(),
    at + HASH,
  )
}
