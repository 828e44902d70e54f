/** Makes the appliance's key disk. docs/keys.md describes its format. */
import { createHash } from 'node:crypto'
import { nativeCodec, nativeCrypto } from '@service-fs/native/native'
import { signerVkey } from '@service-fs/tlog/keys'
import { TYPE_ED25519 } from '@service-fs/tlog/note'

/** The size of a key disk in bytes. */
export const KEY_DISK_BYTES: number = 1 << 20
/** The longest name of a key in bytes. */
export const LONGEST_KEY_NAME = 256

const SECTOR = 512
const BLOCK = 8 * SECTOR
const MAGIC = 'service-fs keys\n'
const VERSION = 1
const SUPERBLOCK = 1
const PRIVATE = 2
/** The offset of a record's SHA-256, which covers all bytes before this offset. */
const HASH = 480

/** An Ed25519 key and its name. */
export interface DiskKey {
  name: string
  /** 32 bytes. */
  seed: Uint8Array
}

/** Returns the content of a key disk with these keys, all unused. */
export function keyDisk(keys: readonly DiskKey[]): Buffer {
  const disk = Buffer.alloc(KEY_DISK_BYTES)
  for (const [place, key] of keys.entries()) {
    const at = BLOCK * (2 + 3 * place)
    writeKey(begin(disk, at, PRIVATE, 0n), key)
    seal(disk, at)
  }
  // Superblocks alternate between two slots: sequence 1 is in the second slot, sequence 2 in the first.
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
