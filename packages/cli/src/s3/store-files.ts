/** The files of a ledger whose names are those of objects in an S3 store. */
import { maxFileBytes, type LedgerFiles } from '@service-fs/client/ledger-files'
import type { ListedObject, S3Objects } from '@service-fs/s3/objects'
import { asStoreError } from './store-errors.ts'

/** The most names in one folder. A folder of tiles has at most a thousand files and as many folders. */
const MOST_NAMES = 10_000

/** What the files of a ledger need of a store. */
export interface StoreReader {
  placeOf(name: string): string
  /** Resolves to undefined when there is no such object. */
  read(name: string, most: number): Promise<Uint8Array | undefined>
  list(folder: string, most: number): Promise<ListedObject[]>
}

export function readerOf(objects: S3Objects): StoreReader {
  return {
    placeOf: (name) => objects.placeOf(name),
    read: async (name, most) => (await objects.read(name, most))?.bytes,
    list: (folder, most) => objects.list(folder, most),
  }
}

/** Returns the files below a folder of the place; '' is the place itself. */
export function storeFiles(reader: StoreReader, folder = ''): LedgerFiles {
  const within = (path: string): string => [folder, path].filter((part) => part !== '').join('/')
  return {
    place: reader.placeOf(folder).replace(/\/$/, ''),
    async read(path) {
      const name = within(path)
      const bytes = await asStoreError(() => reader.read(name, maxFileBytes(name)))
      return bytes && Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length)
    },
    async list(path) {
      const listed = await asStoreError(() => reader.list(within(path), MOST_NAMES))
      return listed.map(({ name, kind }) => ({ name, kind: kind === 'object' ? 'file' : 'directory' }))
    },
    below: (path) => storeFiles(reader, within(path)),
  }
}
