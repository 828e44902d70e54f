/** The program of a worker thread: checks each range of bundles that it receives, and returns the results. */
import { closeSync, constants, fstatSync, openSync, readSync } from 'node:fs'
import { parentPort, workerData } from 'node:worker_threads'
import type { TreeAlgorithm } from '@service-fs/format/tree-binding'
import { BundleCheck, IDS, sizeOf, type BundleText, type CheckedBundle } from './bundle-check.ts'
import type { FingerprintKey } from './fingerprint.ts'
import { checkFileSize, type BytesPlace } from './ledger-files.ts'

/** The settings of a thread. */
export interface CheckSettings {
  key: FingerprintKey
  /** The algorithms of the second trees. */
  trees: readonly TreeAlgorithm[]
  /** Whether to return the text of each bundle. */
  withText: boolean
  /** A thread whose results have this many bytes leaves the rest of a range to the caller. */
  room: number
}

/** The places of each bundle, of its hash tile, and of its hash tile in each second tree. */
export type CheckRange = {
  bundle: BytesPlace | undefined
  hashes: BytesPlace | undefined
  trees: readonly (BytesPlace | undefined)[]
}[]

/** Reads one file after another into the same buffer. */
class Reader {
  #buffer = new Uint8Array(1 << 16)

  /** @throws when the file can't be read, or is larger than the format allows for `kind` */
  read(place: BytesPlace, kind: string): Uint8Array {
    if ('fd' in place) return this.#bytes(place.fd, place.offset, place.size, kind)
    // Do not wait for a writer when the path is a FIFO.
    const fd = openSync(place.path, constants.O_RDONLY | constants.O_NONBLOCK)
    try {
      const stats = fstatSync(fd)
      if (!stats.isFile()) throw new Error(`${place.path}: expected a regular file, found something else`)
      return this.#bytes(fd, 0, stats.size, kind)
    } finally {
      closeSync(fd)
    }
  }

  #bytes(fd: number, offset: number, size: number, kind: string): Uint8Array {
    checkFileSize(kind, size)
    if (this.#buffer.length < size) this.#buffer = new Uint8Array(Math.ceil(size * 1.25))
    for (let done = 0; done < size;) {
      const read = readSync(fd, this.#buffer, done, size - done, offset + done)
      if (read === 0) throw new Error(`expected ${size} bytes, found ${done}`)
      done += read
    }
    return this.#buffer.subarray(0, size)
  }
}

const { key, withText, room, trees: algorithms } = workerData as CheckSettings
const check = new BundleCheck(key, algorithms)
const bundles = new Reader()
const tiles = new Reader()
const treeTiles = algorithms.map(() => new Reader())

function checkOne(
  { bundle, hashes, trees }: CheckRange[number],
  ids: Uint32Array,
): CheckedBundle | undefined {
  if (bundle === undefined || hashes === undefined) return undefined
  let text: BundleText
  try {
    text = { bundle: bundles.read(bundle, 'tile/entries'), hashes: tiles.read(hashes, 'tile/0') }
  } catch {
    // The walk reads the file again, and reports the error.
    return undefined
  }
  const checked = check.text(
    text.bundle,
    text.hashes,
    ids,
    trees.map((place, i) => treeTile(place, treeTiles[i] as Reader)),
  )
  if (checked === undefined || !withText) return checked
  return { ...checked, text: { bundle: text.bundle.slice(), hashes: text.hashes.slice() } }
}

/** Reads a hash tile of a second tree. Returns undefined when the tile is missing or can't be read; the walk then reads it again. */
function treeTile(place: BytesPlace | undefined, reader: Reader): Uint8Array | undefined {
  if (place === undefined) return undefined
  try {
    return reader.read(place, 'second-tree/tile')
  } catch {
    return undefined
  }
}

parentPort?.on('message', (range: CheckRange) => {
  const ids = new Uint32Array(range.length * IDS)
  const checked: (CheckedBundle | undefined)[] = []
  let size = 0
  for (const [i, places] of range.entries()) {
    if (i > 0 && size >= room) break
    const one = checkOne(places, ids.subarray(i * IDS, (i + 1) * IDS))
    checked.push(one)
    if (one !== undefined) size += sizeOf(one)
  }
  const transfer = [ids.buffer]
  for (const one of checked) {
    if (one === undefined) continue
    for (const part of one.parts) if ('bytes' in part) transfer.push(part.bytes.buffer as ArrayBuffer)
    if (one.text !== undefined)
      transfer.push(one.text.bundle.buffer as ArrayBuffer, one.text.hashes.buffer as ArrayBuffer)
  }
  parentPort?.postMessage(checked, transfer)
})
