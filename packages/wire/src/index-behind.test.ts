// While the record indexes of both ledgers are being built, reads work and are recorded. Requests that look up an identifier wait
// for a limited time.
import { MemoryIndex, type IndexedRecord } from '@service-fs/ledger/record-index'
import { Readiness } from '@service-fs/ledger/readiness'
import { openTestLedger, TestRuntime, testSigner, textRecord } from '@service-fs/ledger/testing'
import { MemoryStorage } from '@service-fs/storage/memory'
import type { Hash } from '@service-fs/tlog/hash'
import { expect, it } from 'vitest'
import { harness, type Harness } from './testing.ts'

/** An index that stores no records until the test opens it. */
class BehindIndex extends MemoryIndex {
  #isOpen = false
  #resolve!: () => void
  readonly #gate = new Promise<void>((resolve) => (this.#resolve = resolve))

  open(): void {
    this.#isOpen = true
    this.#resolve()
  }

  override put(records: readonly IndexedRecord[], size: number, root: Hash): void {
    if (this.#isOpen) super.put(records, size, root)
  }

  override flush(): Promise<void> {
    return this.#gate
  }
}

async function reopened(origin: string, runtime: TestRuntime, index: BehindIndex) {
  const storage = new MemoryStorage()
  const signer = testSigner(origin)
  const first = await openTestLedger({ origin, signer, storage, runtime })
  await first.append(['a', 'b', 'c'].map((id) => textRecord(id, `text of ${id}`)))
  await first.close()
  return openTestLedger({
    origin,
    signer,
    storage: new MemoryStorage({ files: storage.dump() }),
    runtime,
    index,
  })
}

it('a ledger whose index is behind serves and records all reads except by identifier, and accepts no append, until the index covers the ledger', async () => {
  const runtime = new TestRuntime()
  const indexes = [new BehindIndex(), new BehindIndex()] as const
  const ledger = await reopened('example.org/ledger/acme', runtime, indexes[0])
  const audit = await reopened('example.org/ledger/acme/audit', runtime, indexes[1])
  const readiness = new Readiness(ledger, audit)
  const h: Harness = await harness(() => ({ ledger, audit, ready: async () => readiness.now() }))
  const targets = [
    '/v1/entries',
    '/v1/entries/2',
    '/checkpoint',
    '/tile/0/000.p/3',
    '/v1/proof/inclusion?index=1',
    '/audit/v1/entries',
  ]
  for (const [i, target] of targets.entries()) {
    const got = await h.ask(target)
    expect([target, got.status, got.headers['x-audit-index']]).toEqual([target, 200, String(3 + i)])
  }
  expect(audit.size).toBe(3 + targets.length)
  const ready = await h.ask('/readyz')
  expect([ready.status, ready.json.code, ready.json.detail]).toEqual([
    503,
    'not-ready',
    'the record index of the ledger covers 0 of 3 entries: until it covers all, appends and reads by identifier wait',
  ])

  const refused = [h.append('d', 1), h.append('a', 1), h.ask('/v1/records/a'), h.ask('/audit/v1/records/a')]
  const answers = Promise.all(refused)
  let isOver = false
  void answers.finally(() => (isOver = true))
  // A request begins to wait some turns of the event loop after it was sent.
  const advanced = (): boolean => {
    runtime.advance(10_000)
    return isOver
  }
  await expect.poll(advanced, { interval: 1 }).toBe(true)
  for (const got of await answers) {
    expect([got.status, got.json.code, got.headers['retry-after']]).toEqual([503, 'not-ready', '1'])
    expect(got.text).toContain('the record index covers 0 of')
  }
  expect([ledger.size, h.reports]).toEqual([3, []])

  const waiting = [h.append('d', 1), h.ask('/v1/records/a')]
  for (const index of indexes) index.open()
  expect((await Promise.all(waiting)).map(({ status }) => status)).toEqual([200, 200])
  expect((await h.append('a', 1)).status).toBe(409)
  expect((await h.ask('/readyz')).status).toBe(200)
})
