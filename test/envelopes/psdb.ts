// A disk image served by psdb-host: the real C store, in a process that can be killed.

import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { PsdbChannel } from '@service-fs/engine-host/psdb/channel'
import { findPsdbHost, openPsdbProcess, type PsdbProcess } from '@service-fs/engine-host/psdb/process'
import { openPsdbStorage } from '@service-fs/storage-psdb/storage'
import { MODULE_ID } from './core.ts'
import { fastDirectory, type Place } from './cores.ts'

/** Why there is no storage server to test with; undefined if there is one. */
export const noPsdb: string | undefined = (() => {
  try {
    findPsdbHost()
    return undefined
  } catch (error) {
    return error instanceof Error ? error.message : 'no psdb-host'
  }
})()

export interface PsdbPlace extends Place {
  /** Returns the channel to the disk's process; starts the process if necessary. */
  channel(): Promise<PsdbChannel>
  /** Lets the process finish pending work. */
  close(): Promise<void>
}

/** The size of a disk in bytes; its file is sparse. */
const DISK_BYTES = 2 ** 30

/** A new disk for one tenant. */
export async function psdbPlace(): Promise<PsdbPlace> {
  const dir = await fastDirectory()
  const disk = join(dir, 'disk.img')
  let running: Promise<PsdbProcess> | undefined
  const process = (): Promise<PsdbProcess> =>
    (running ??= openPsdbProcess({ disk, size: DISK_BYTES, tenants: [MODULE_ID] }))
  return {
    channel: async () => (await process()).channel(MODULE_ID),
    open: async () => storagesOf(await process(), MODULE_ID),
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

/** Places of tenants that share a disk and its process. The process runs until all of them are disposed of. */
export async function sharedPlaces(tenants: readonly string[]): Promise<PsdbPlace[]> {
  const dir = await fastDirectory()
  const process = await openPsdbProcess({ disk: join(dir, 'disk.img'), size: DISK_BYTES, tenants })
  let left = tenants.length
  return tenants.map((tenant) => ({
    channel: async () => process.channel(tenant),
    open: async () => storagesOf(process, tenant),
    drop: async () => undefined,
    close: async () => undefined,
    async dispose() {
      left -= 1
      if (left > 0) return
      await process.close()
      await rm(dir, { recursive: true, force: true })
    },
  }))
}

function storagesOf(process: PsdbProcess, tenant: string): Awaited<ReturnType<Place['open']>> {
  const client = process.client(tenant)
  return { main: openPsdbStorage(client, 'main'), audit: openPsdbStorage(client, 'audit') }
}
