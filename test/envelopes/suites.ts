// The suites of storage and ledger as a script for the engine: it uses `host` and `lab`, and defines `serviceFs`. This module must not use Node.js.

import { ledgerConformance } from '@service-fs/ledger/conformance'
import { hostCodec, hostHasher, exactBuffer } from '@service-fs/bundle/codec'
import type { Host } from '@service-fs/bundle/host'
import { DEFAULT_LIMITS, ledgerLimits } from '@service-fs/bundle/limits'
import { hostPort } from '@service-fs/bundle/port'
import type { StorageCapability } from '@service-fs/storage/capability'
import { storageConformance, type ConformanceSubject } from '@service-fs/storage/conformance'
import { StorageError } from '@service-fs/storage/errors'
import { PsdbClient } from '@service-fs/storage-psdb/client'
import { openPsdbStorage } from '@service-fs/storage-psdb/storage'
import type { KeyCrypto } from '@service-fs/tlog/scheme'

/** The functions that the test provides, besides the host's. */
export interface Lab {
  /** Starts the storage server on a new disk or on the current one; `serviceFs.connected()` follows. */
  connect(onNewDisk: 0 | 1): void
  /** Reports the end of the case. */
  done(problem?: string): void
  ed25519Sign(message: ArrayBuffer, seed: ArrayBuffer): ArrayBuffer
  ed25519PublicKey(seed: ArrayBuffer): ArrayBuffer
  regionBytes(): number
  /** Takes the names of the cases, a JSON array. */
  names(json: string): void
}

const { host, lab } = globalThis as unknown as { host: Host; lab: Lab }
const regionBytes = lab.regionBytes()
const cases: { name: string; run: () => Promise<void> }[] = []
let path: string[] = []
let client: PsdbClient | undefined
let whenConnected: () => void = () => undefined

const test = {
  describe(name: string, suite: () => void): void {
    path.push(name)
    suite()
    path = path.slice(0, -1)
  },
  it(name: string, run: () => Promise<void>): void {
    cases.push({ name: [...path, name].join(' > '), run })
  },
  expect: (actual: unknown) => ({
    toEqual(expected: unknown): void {
      if (!isEqual(actual, expected)) throw new Error(`expected ${shown(expected)}, found ${shown(actual)}`)
    },
  }),
}

function isEqual(a: unknown, b: unknown): boolean {
  if (Object.is(a, b)) return true
  if (typeof a !== 'object' || typeof b !== 'object' || a === null || b === null) return false
  if (Object.getPrototypeOf(a) !== Object.getPrototypeOf(b)) return false
  const [one, other] = [defined(a), defined(b)]
  return one.length === other.length && one.every((name) => isEqual(at(a, name), at(b, name)))
}

/** The names of the members that are not undefined. */
function defined(value: object): string[] {
  return Object.keys(value).filter((name) => at(value, name) !== undefined)
}

function at(value: object, name: string): unknown {
  return (value as Record<string, unknown>)[name]
}

function shown(value: unknown): string {
  return (JSON.stringify(value) ?? String(value)).slice(0, 500)
}

async function connect(onNewDisk: boolean): Promise<StorageCapability> {
  client?.failed(new StorageError('io', 'the storage server was killed'))
  const connected = new Promise<void>((resolve) => {
    whenConnected = resolve
  })
  lab.connect(onNewDisk ? 1 : 0)
  await connected
  client = new PsdbClient(hostPort(host, regionBytes), () => 0)
  return openPsdbStorage(client, 'main')
}

async function open(): Promise<ConformanceSubject> {
  return {
    storage: await connect(true),
    reopen: () => connect(false),
    dispose: async () => undefined,
  }
}

const codec = hostCodec(host)
const crypto: KeyCrypto = {
  codec,
  hasher: hostHasher(host),
  ed25519Sign: (message, seed) => new Uint8Array(lab.ed25519Sign(exactBuffer(message), exactBuffer(seed))),
  ed25519PublicKey: (seed) => new Uint8Array(lab.ed25519PublicKey(exactBuffer(seed))),
  ed25519Verify: (signature, message, key) =>
    host.ed25519Verify(exactBuffer(key), exactBuffer(message), exactBuffer(signature)),
}

storageConformance({ name: 'PSDB', tailMode: 'each', test, open })
const limits = ledgerLimits(DEFAULT_LIMITS, regionBytes)
ledgerConformance({ name: 'PSDB', test, open, crypto, limits })
lab.names(JSON.stringify(cases.map(({ name }) => name)))

Object.assign(globalThis, {
  serviceFs: {
    psdb: (message: ArrayBuffer) => client?.received(new Uint8Array(message)),
    connected: () => whenConnected(),
    run(number: number) {
      cases[number]?.run().then(
        () => lab.done(),
        (error: unknown) => {
          lab.done(error instanceof Error ? `${error.message}\n${error.stack}` : String(error))
        },
      )
    },
  },
})
