// Kills the daemon repeatedly with kill -9 under load: the ledger has every acknowledged record, only records that clients sent,
// and consistent checkpoints.
import { existsSync } from 'node:fs'
import { openCheckpoint } from '@service-fs/tlog/checkpoint'
import { nativeCrypto, nativeHasher } from '@service-fs/native/native'
import { verifierFromVkey } from '@service-fs/tlog/keys'
import { verifyConsistency } from '@service-fs/tlog/proof'
import { expect, it } from 'vitest'
import { serviceFsCommand, startDaemon, type Daemon } from '../support/daemon.ts'
import { QUICK } from '../support/quick.ts'

const KILLS = Number(process.env['KILLS'] ?? (QUICK ? 4 : 20))
const CLIENTS = 16

interface Acknowledged {
  cursor: number
  payload: string
}

interface Answer {
  entries: { cursor: number; payload_id: string }[]
  checkpoint: string
}

/** Clients that append until the daemon dies, and remember the records sent and the answers received. */
class Load {
  readonly attempted = new Map<string, string>()
  readonly acknowledged = new Map<string, Acknowledged>()
  checkpoints: string[] = []
  #next = 0

  async run(daemon: Daemon): Promise<void> {
    await Promise.all(Array.from({ length: CLIENTS }, (_, client) => this.#client(daemon, client)))
  }

  async #client(daemon: Daemon, client: number): Promise<void> {
    try {
      for (;;) await this.#append(daemon, client % 4 === 0 ? 50 : 1)
    } catch {
      // The daemon was killed.
    }
  }

  async #append(daemon: Daemon, count: number): Promise<void> {
    const records = Array.from({ length: count }, () => {
      const id = `record-${this.#next++}`
      const payload = { id, text: 'x'.repeat((this.#next * 37) % 900) }
      this.attempted.set(id, JSON.stringify(payload))
      return { payload_id: id, payload }
    })
    const body = records.map((record) => JSON.stringify(record)).join('\n')
    const answer = await daemon.fetch('/v1/append', {
      method: 'POST',
      headers: { 'content-type': 'application/x-ndjson' },
      body,
    })
    if (answer.status !== 200) throw new Error(await answer.text())
    const { entries, checkpoint } = (await answer.json()) as Answer
    for (const { cursor, payload_id } of entries)
      this.acknowledged.set(payload_id, { cursor, payload: this.attempted.get(payload_id) ?? '' })
    this.checkpoints.push(checkpoint)
  }
}

interface Page {
  next_cursor: number
  entries: { cursor: number; payload_id: string; payload: unknown }[]
}

async function everything(daemon: Daemon): Promise<Map<string, Acknowledged>> {
  const found = new Map<string, Acknowledged>()
  for (let since = 0; ;) {
    const page = (await (await daemon.fetch(`/v1/entries?since=${since}&limit=1000`)).json()) as Page
    for (const { cursor, payload_id, payload } of page.entries) {
      expect(found.has(payload_id)).toBe(false)
      found.set(payload_id, { cursor, payload: JSON.stringify(payload) })
    }
    if (page.entries.length === 0) return found
    since = page.next_cursor
  }
}

async function checkConsistency(daemon: Daemon, notes: readonly string[], origin: string): Promise<void> {
  const verifiers = [verifierFromVkey(await daemon.vkey(), nativeCrypto)]
  const open = (note: string) => openCheckpoint(note, verifiers, origin).checkpoint
  const now = open(await (await daemon.fetch('/checkpoint')).text())
  for (const note of notes) {
    const { size, root } = open(note)
    const { hashes } = (await (
      await daemon.fetch(`/v1/proof/consistency?from=${size}&to=${now.size}`)
    ).json()) as { hashes: string[] }
    verifyConsistency(
      { from: size, to: now.size, fromRoot: root, toRoot: now.root, proof: hashes },
      nativeHasher,
    )
  }
}

it(`the daemon survives kill -9 under load, ${KILLS} times in a row`, async () => {
  const load = new Load()
  let daemon = await startDaemon()
  const { origin } = (await (await daemon.fetch('/v1/contract')).json()) as { origin: string }
  try {
    for (let kill = 1; kill <= KILLS; kill++) {
      const running = load.run(daemon)
      await new Promise((resolve) => setTimeout(resolve, 150 + ((kill * 97) % 500)))
      await daemon.kill('SIGKILL')
      await running
      daemon = await daemon.restart()
      await checkConsistency(daemon, [...load.checkpoints.slice(0, 1), ...load.checkpoints.slice(-3)], origin)
    }
    const found = await everything(daemon)
    for (const [id, { cursor, payload }] of load.acknowledged)
      expect(found.get(id), id).toEqual({ cursor, payload })
    for (const [id, { payload }] of found) expect(payload, id).toBe(load.attempted.get(id))
    expect(load.acknowledged.size).toBeGreaterThan(KILLS * 50)
    await daemon.kill()
    expect(existsSync(daemon.dir)).toBe(true)
    const verified = await serviceFsCommand(['verify', daemon.dir, '--json'])
    expect(verified.stdout + verified.stderr).toContain('"ok":true')
    console.log(`${load.acknowledged.size} acknowledged, ${found.size} found, after ${KILLS} kills`)
  } finally {
    await daemon.dispose()
  }
})
