// Cores in this process: the wire over ledgers over either storage, with the test's clock.

import { mkdtemp, rm } from 'node:fs/promises'
import { existsSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { exported } from '@service-fs/ledger/conformance'
import { TestRuntime } from '@service-fs/ledger/testing'
import { nativeCodec, nativeCrypto, nativeHasher, nativeKernel } from '@service-fs/native/native'
import { DEFAULT_LIMITS, ledgerLimits, wireLimits } from '@service-fs/bundle/limits'
import { uuids } from '@service-fs/bundle/uuid'
import type { StorageCapability } from '@service-fs/storage/capability'
import { MemoryStorage } from '@service-fs/storage/memory'
import { openPosixStorage } from '@service-fs/storage-posix/posix'
import type { WireSubject } from '@service-fs/wire/conformance-tools'
import {
  openInProcess,
  testKeys,
  type InProcess,
  type InProcessOptions,
  type TestKeys,
} from '@service-fs/wire/in-process'
import { MODULE_ID, type Core } from './core.ts'

export const ORIGIN = 'example.org/ledger/acme'
export const keys: TestKeys = testKeys(ORIGIN, nativeCrypto)

/** The size of a tenant's data region in bytes; Envelope B's limits follow from it. */
export const REGION_BYTES: number = 32 * 2 ** 20

type Storages = InProcessOptions['storages']

/** The two storages of a ledger that can be reopened. */
export interface Place {
  open(): Promise<Storages>
  /** Releases everything open, like a killed process. */
  drop(): Promise<void>
  dispose(): Promise<void>
}

/** A runtime with native functions and a clock that only the test moves. */
export function testRuntime(): TestRuntime {
  return Object.assign(new TestRuntime(), { hasher: nativeHasher, kernel: nativeKernel, codec: nativeCodec })
}

/** Deterministic bytes from a seed, in place of random ones. */
export class Randomness {
  readonly #seed: number
  #next = 0

  constructor(seed: number) {
    this.#seed = seed
  }

  bytes(count: number): Uint8Array {
    const made = new Uint8Array(count)
    for (let at = 0; at < count; at += 32) {
      const block = nativeHasher.sha256(nativeCodec.asciiEncode(`${this.#seed}.${this.#next++}`))
      made.set(block.subarray(0, count - at), at)
    }
    return made
  }
}

/** Opens a core in this process, over the storages of a place. */
export async function openCore(place: Place): Promise<Core & WireSubject> {
  const runtime = testRuntime()
  let lives = 0
  const open = async (): Promise<InProcess> => {
    const random = new Randomness(++lives)
    return openInProcess({
      moduleId: MODULE_ID,
      keys,
      storages: await place.open(),
      runtime,
      requestId: uuids({ random: (count) => exact(random.bytes(count)) }),
      limits: ledgerLimits(DEFAULT_LIMITS, REGION_BYTES),
      wireLimits: (limits) => wireLimits(DEFAULT_LIMITS, limits),
    })
  }
  let server = await open()
  const restart = async (how: 'stop' | 'kill'): Promise<void> => {
    if (how === 'stop') await server.close()
    await place.drop()
    server = await open()
  }
  return {
    request: (...question) => server.request(...question),
    advance: async (ms) => runtime.advance(ms),
    restart,
    reopen: restart,
    async export() {
      await restart('stop')
      return exportBoth(server)
    },
    async dispose() {
      await server.close().catch(() => undefined)
      await place.drop()
      await place.dispose()
    },
  }
}

/** Copies the bytes into a new ArrayBuffer. */
export function exact(bytes: Uint8Array): ArrayBuffer {
  return new Uint8Array(bytes).buffer
}

export async function exportBoth({
  main,
  audit,
}: Pick<InProcess, 'main' | 'audit'>): Promise<Map<string, string>> {
  const found = new Map<string, string>()
  for await (const [path, text] of exported(main)) found.set(path, text)
  for await (const [path, text] of exported(audit)) found.set(`audit/${path}`, text)
  return found
}

export function memoryPlace(tailMode: 'grow' | 'each'): Place {
  let storages = { main: new MemoryStorage({ tailMode }), audit: new MemoryStorage({ tailMode }) }
  return {
    open: async () => storages,
    async drop() {
      const [main, audit] = [storages.main.dump(), storages.audit.dump()]
      storages = {
        main: new MemoryStorage({ tailMode, files: main }),
        audit: new MemoryStorage({ tailMode, files: audit }),
      }
    },
    dispose: async () => undefined,
  }
}

/** Makes a directory, in memory where possible: these tests are not about the medium. */
export function fastDirectory(): Promise<string> {
  return mkdtemp(join(existsSync('/dev/shm') ? '/dev/shm' : tmpdir(), 'service-fs-envelopes-'))
}

export async function posixPlace(): Promise<Place & { readonly directory: string }> {
  const dir = await fastDirectory()
  const directory = join(dir, MODULE_ID)
  let open: StorageCapability[] = []
  return {
    directory,
    async open() {
      const main = await openPosixStorage(directory)
      open = [main]
      const audit = await openPosixStorage(join(directory, 'audit'), { lock: false })
      open.push(audit)
      return { main, audit }
    },
    async drop() {
      for (const one of open.reverse()) await one.close()
      open = []
    },
    dispose: () => rm(dir, { recursive: true, force: true }),
  }
}
