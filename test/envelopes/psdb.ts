// A disk image in the care of psdb-host: the real C store, in a process that can be killed.

import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { findPsdbHost, openPsdbProcess, type PsdbProcess } from '@service-fs/psdb-host/process'
import { openPsdbStorage } from '@service-fs/storage-psdb/storage'
import { MODULE_ID } from './core.ts'
import { fastDirectory, type Place } from './cores.ts'

/** Why there is no storage server to test with; undefined: there is one. */
export const noPsdb: string | undefined = (() => {
  try {
    findPsdbHost()
    return undefined
  } catch (error) {
    return error instanceof Error ? error.message : 'no psdb-host'
  }
})()

export interface PsdbPlace extends Place {
  readonly disk: string
  /** The process that has the disk; it is started when none does. */
  process(): Promise<PsdbProcess>
  /** Lets the process finish what is under way. */
  close(): Promise<void>
}

export interface PsdbPlaceOptions {
  /** Bytes; default 1 GiB, of which the file has what was written. */
  readonly size?: number
  readonly tenants?: readonly string[]
  readonly binary?: string
}

/** A new disk. `open()` gives the storages of the first tenant. */
export async function psdbPlace(options: PsdbPlaceOptions = {}): Promise<PsdbPlace> {
  const { size = 2 ** 30, tenants = [MODULE_ID], binary } = options
  const dir = await fastDirectory()
  const disk = join(dir, 'disk.img')
  let running: Promise<PsdbProcess> | undefined
  const process = (): Promise<PsdbProcess> =>
    (running ??= openPsdbProcess({ disk, size, tenants, ...(binary === undefined ? {} : { binary }) }))
  return {
    disk,
    process,
    async open() {
      const client = (await process()).client(tenants[0] ?? MODULE_ID)
      return { main: openPsdbStorage(client, 'main'), audit: openPsdbStorage(client, 'audit') }
    },
    async drop() {
      const old = await running
      running = undefined
      old?.kill()
      await old?.exited
    },
    async close() {
      const old = await running
      running = undefined
      await old?.close()
    },
    dispose: () => rm(dir, { recursive: true, force: true }),
  }
}
