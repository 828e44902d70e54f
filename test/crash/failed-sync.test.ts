// Alternates kill -9 of the daemon, failed syncs, a full disk and machine restarts on real file systems. The daemon keeps every
// acknowledged record, and never signs two trees of the same size. ROUNDS sets the number of rounds; the default is a few.
import { rmSync, statfsSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { nativeCrypto, nativeHasher } from '@service-fs/native/native'
import { openPsdbProcess, type PsdbProcess } from '@service-fs/engine-host/psdb/process'
import { missing } from '@service-fs/engine-host/psdb/testing'
import { openPsdbStorage } from '@service-fs/storage-psdb/storage'
import type { StorageCapability } from '@service-fs/storage/capability'
import { openCheckpoint } from '@service-fs/tlog/checkpoint'
import { verifierFromVkey } from '@service-fs/tlog/keys'
import { verifyConsistency } from '@service-fs/tlog/proof'
import { describe, expect, it } from 'vitest'
import { serviceFsCommand, startDaemon, type Daemon } from '../support/daemon.ts'
import { FailingDisk, payloadThatFails, whyNoDisk, type FileSystemKind } from '../support/failing-disk.ts'
import { QUICK } from '../support/quick.ts'

const ROUNDS = Number(process.env['ROUNDS'] ?? (QUICK ? 1 : 5))
const CLIENTS = 4
/** The most bytes that a round adds to the ledger and its audit sub-ledger. */
const BYTES_A_ROUND = 2 << 20

type Payload = Uint8Array<ArrayBuffer>

/** The state of the clients: the records that they sent, the answers that they received, and every checkpoint that they saw. */
class Clients {
  readonly attempted = new Map<string, string>()
  readonly acknowledged = new Map<string, number>()
  readonly roots = new Map<number, string>()
  readonly notes: string[] = []
  refused = 0
  #next = 0

  newId(): string {
    return `record-${this.#next++}`
  }

  /** The status of the answer. */
  async append(daemon: Daemon, id: string, payload: Payload): Promise<number> {
    this.attempted.set(id, Buffer.from(payload).toString('base64'))
    const answer = await daemon.fetch('/v1/append', {
      method: 'POST',
      headers: { 'x-payload-id': id, 'content-type': 'application/octet-stream' },
      body: payload,
    })
    const body = (await answer.json()) as {
      cursor?: number
      checkpoint?: string
      entries?: { cursor: number }[]
    }
    if (answer.status !== 200) {
      this.refused += 1
      return answer.status
    }
    const cursor = body.cursor ?? body.entries?.[0]?.cursor
    if (cursor === undefined || body.checkpoint === undefined) throw new Error(JSON.stringify(body))
    const known = this.acknowledged.get(id)
    if (known !== undefined) expect(cursor, id).toBe(known)
    this.acknowledged.set(id, cursor)
    this.notes.push(body.checkpoint)
    return 200
  }

  /** Appends until the daemon dies or refuses. */
  async load(daemon: Daemon): Promise<void> {
    const client = async (): Promise<void> => {
      try {
        while ((await this.append(daemon, this.newId(), small(this.#next))) === 200);
      } catch {
        // The daemon was killed.
      }
    }
    await Promise.all(Array.from({ length: CLIENTS }, client))
  }

  /** Compares the signed checkpoints with those signed before. */
  async look(daemon: Daemon, origin: string): Promise<void> {
    this.notes.push(await (await daemon.fetch('/checkpoint')).text())
    const verifiers = [verifierFromVkey(await daemon.vkey(), nativeCrypto)]
    const read = (note: string) => openCheckpoint(note, verifiers, origin).checkpoint
    for (const note of this.notes) {
      const { size, root } = read(note)
      expect(this.roots.get(size) ?? root, `the root of size ${size}`).toBe(root)
      this.roots.set(size, root)
    }
    const now = read(this.notes.at(-1) ?? '')
    for (const note of [this.notes[0] ?? '', ...this.notes.slice(-4)]) {
      const { size, root } = read(note)
      const path = `/v1/proof/consistency?from=${size}&to=${now.size}`
      const { hashes } = (await (await daemon.fetch(path)).json()) as { hashes: string[] }
      verifyConsistency(
        { from: size, to: now.size, fromRoot: root, toRoot: now.root, proof: hashes },
        nativeHasher,
      )
    }
    this.notes.splice(0, this.notes.length - 4)
  }

  async check(daemon: Daemon): Promise<void> {
    const found = new Map<string, number>()
    for (let since = 0; ;) {
      const page = (await (await daemon.fetch(`/v1/entries?since=${since}&limit=1000`)).json()) as {
        next_cursor: number
        entries: { cursor: number; payload_id: string; payload_base64: string }[]
      }
      for (const { cursor, payload_id, payload_base64 } of page.entries) {
        expect(found.has(payload_id), `${payload_id} twice`).toBe(false)
        expect(payload_base64, payload_id).toBe(this.attempted.get(payload_id))
        found.set(payload_id, cursor)
      }
      if (page.entries.length === 0) break
      since = page.next_cursor
    }
    for (const [id, cursor] of this.acknowledged) expect(found.get(id), `acknowledged ${id}`).toBe(cursor)
  }
}

/** The payload is not UTF-8, so the daemon returns it as base64. */
function small(seed: number): Payload {
  return new Uint8Array(1 + ((seed * 37) % 900)).fill(128 + (seed % 64))
}

/** The parts that run during one round. */
interface Machine {
  readonly disk: FailingDisk
  daemon: Daemon
}

/** The disk fails to write one record, and the daemon reports it; after a kill and a restart, the daemon accepts the record or already holds it. */
async function failedSync(machine: Machine, clients: Clients): Promise<void> {
  const { disk, daemon } = machine
  const id = clients.newId()
  disk.fail()
  expect(await clients.append(daemon, id, payloadThatFails)).toBe(500)
  expect(await clients.append(daemon, clients.newId(), small(1))).toBeGreaterThanOrEqual(500)
  await daemon.kill('SIGKILL')
  disk.heal()
  machine.daemon = await daemon.restart()
  expect(await clients.append(machine.daemon, id, payloadThatFails)).toBe(200)
  expect(await clients.append(machine.daemon, clients.newId(), small(2))).toBe(200)
}

/** Kills the daemon while it answers many requests. */
async function killed(machine: Machine, clients: Clients): Promise<void> {
  const { daemon } = machine
  const loading = clients.load(daemon)
  await sleep(100 + Math.random() * 300)
  await daemon.kill('SIGKILL')
  await loading
  machine.daemon = await daemon.restart()
}

/** write(2) returns ENOSPC until the test frees space. */
async function fullDisk(machine: Machine, clients: Clients): Promise<void> {
  const { disk, daemon } = machine
  const filler = join(disk.at, 'filler')
  // `bfree` counts the blocks that only root may use; the daemon runs as root here.
  const { bfree, bsize } = statfsSync(disk.at)
  try {
    writeFileSync(filler, new Uint8Array(bfree * bsize).fill(1))
  } catch {
    // It is full.
  }
  let status = 200
  for (let tries = 0; status === 200 && tries < 300; tries++)
    status = await clients.append(daemon, clients.newId(), new Uint8Array(50_000).fill(128 + (tries % 64)))
  expect(status).toBe(507)
  await daemon.kill('SIGKILL')
  rmSync(filler)
  machine.daemon = await daemon.restart()
  expect(await clients.append(machine.daemon, clients.newId(), small(3))).toBe(200)
}

async function live(machine: Machine, clients: Clients, round: number, origin: string): Promise<void> {
  if (round % 3 === 0) await killed(machine, clients)
  else if (round % 12 === 5) await fullDisk(machine, clients)
  else await failedSync(machine, clients)
  await clients.look(machine.daemon, origin)
  if (round % 2 !== 0 && round !== ROUNDS) return
  await machine.daemon.kill('SIGKILL')
  machine.disk.restartMachine()
  machine.daemon = await machine.daemon.restart()
  await clients.look(machine.daemon, origin)
  if (round % 20 === 0 || round === ROUNDS) await clients.check(machine.daemon)
}

const kinds: readonly FileSystemKind[] = QUICK ? ['ext4'] : ['ext4', 'xfs', 'btrfs']

for (const kind of kinds) {
  const why = whyNoDisk(kind)
  describe.skipIf(why !== '')(`a daemon on ${kind} on a failing disk${why}`, () => {
    it(
      `keeps every acknowledged record over ${ROUNDS} rounds of kills, failed syncs and restarts`,
      async () => {
        const disk = await FailingDisk.make(kind, ROUNDS * BYTES_A_ROUND)
        const clients = new Clients()
        let machine: Machine | undefined
        try {
          machine = { disk, daemon: await startDaemon({ root: join(disk.at, 'root') }) }
          const { origin } = (await (await machine.daemon.fetch('/v1/contract')).json()) as { origin: string }
          expect(await clients.append(machine.daemon, clients.newId(), small(0))).toBe(200)
          let failed = 0
          for (let round = 1; round <= ROUNDS; round++) {
            if (round % 3 !== 0 && round % 12 !== 5) failed += 1
            await live(machine, clients, round, origin).catch((error: unknown) => {
              throw new Error(`round ${round}`, { cause: error })
            })
          }
          await machine.daemon.kill()
          const verified = await serviceFsCommand(['verify', machine.daemon.dir, '--json'])
          expect(verified.stdout + verified.stderr).toContain('"ok":true')
          const { acknowledged, refused } = clients
          console.log(
            `${kind}: ${ROUNDS} rounds, ${failed} failed syncs, ${acknowledged.size} acknowledged, ${refused} refused`,
          )
        } finally {
          await machine?.daemon.dispose()
          await disk.dispose()
        }
      },
      ROUNDS * 60_000,
    )
  })
}

const whyNoStore = missing || whyNoDisk('ext4')

describe.skipIf(whyNoStore !== '')(`the storage server on a failing disk${whyNoStore}`, () => {
  it('neither serves nor acknowledges data that a failed flush left in the page cache', async () => {
    const disk = await FailingDisk.make('ext4')
    let host: PsdbProcess | undefined
    const open = async (): Promise<StorageCapability> => {
      host = await openPsdbProcess({ disk: join(disk.at, 'disk.tar'), size: 8 << 20, tenants: ['acme'] })
      return openPsdbStorage(host.client('acme'), 'main')
    }
    const kill = async (): Promise<void> => {
      host?.kill()
      await host?.exited
    }
    try {
      const first = await open()
      await first.beginTail(0, 1, commitOf(0))
      // Only the second of a group's two flushes writes this; by then all other data is on the disk.
      disk.fail('.psdb/commit')
      await expect(first.beginTail(1, 2, commitOf(1))).rejects.toMatchObject({ code: 'io' })
      await expect(first.beginTail(2, 3, commitOf(2))).rejects.toMatchObject({ code: 'io' })
      await kill()
      disk.heal()
      const second = await open()
      const shown = await startsOf(second)
      expect(shown[0]).toBe(0)
      const next = (shown.at(-1) ?? 0) + 1
      await second.beginTail(next, next + 1, commitOf(next))
      await kill()
      disk.restartMachine()
      expect(await startsOf(await open())).toEqual([...shown, next])
    } finally {
      await kill()
      await disk.dispose()
    }
  })
})

/** Long enough that two groups begin in different pages. */
function commitOf(start: number): Payload {
  return new Uint8Array(20_000).fill(65 + start)
}

async function startsOf(storage: StorageCapability): Promise<number[]> {
  const starts: number[] = []
  for await (const { start } of storage.tail()) starts.push(start)
  return starts
}
