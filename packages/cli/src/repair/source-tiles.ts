/** Reads tiles and bundles from the source of a repair. The source is not trusted: the caller compares the hashes. */
import { ClientError } from '@service-fs/client/errors'
import type { LogSource } from '@service-fs/client/source'
import { messageOf } from '@service-fs/format/errors'
import { nativeCodec } from '@service-fs/native/native'
import type { Hash } from '@service-fs/tlog/hash'
import { TILE_WIDTH } from '@service-fs/tlog/tile'
import { formatBundle } from '@service-fs/tlog/tile-text'
import { base64Lines } from '../copy.ts'
import { bundleHashes, hashesOf, type BundleHashes, type Hashes } from './stored-tiles.ts'

/** The content that the source has for a file, or the reason why it has none. */
export type Offered<T> = T | { root: undefined; reason: string }

/** The text of a bundle, its entries, and their leaf hashes. */
export interface OfferedBundle extends BundleHashes {
  text: Uint8Array
}

export class SourceTiles {
  readonly #log: LogSource

  constructor(log: LogSource) {
    this.#log = log
  }

  /** @throws ClientError `connection` */
  tile(level: number, index: number): Promise<Offered<Hashes>> {
    return offered(async () => binary(await this.#log.hashTile(level, index, TILE_WIDTH)))
  }

  /** @throws ClientError `connection` */
  bundle(index: number): Promise<Offered<OfferedBundle>> {
    return offered(async () => {
      const entries = await this.#log.bundle(index, TILE_WIDTH)
      const text = nativeCodec.asciiEncode(formatBundle(base64Lines(entries)))
      // Hash the text itself, because the text will be written.
      return { text, ...bundleHashes(text) }
    })
  }
}

export function binary(hashes: readonly Hash[]): Hashes {
  return hashesOf(nativeCodec.concat(...hashes.map((hash) => nativeCodec.base64Decode(hash))))
}

/** If the source cannot be reached, the repair ends. If the source refuses a file or has other content, the file's finding says so. */
async function offered<T>(read: () => Promise<T>): Promise<Offered<T>> {
  try {
    return await read()
  } catch (error) {
    if (!(error instanceof ClientError) || error.code === 'connection') throw error
    return { root: undefined, reason: messageOf(error) }
  }
}
