/** What /metrics shows: latencies, queues, sizes, and the process. Nothing of what is in a ledger. */
import { collectDefaultMetrics, Counter, Gauge, Histogram, Registry } from 'prom-client'
import type { Ledger, LedgerObserver } from '@service-fs/ledger/ledger'
import type { StorageCapability } from '@service-fs/storage/capability'

export type LedgerName = 'main' | 'audit'

const SECONDS = [0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10]
const ENTRIES = [1, 4, 16, 64, 256, 1024, 4096]

export class Metrics {
  readonly #registry = new Registry()
  readonly #requests: Histogram<'method' | 'status'>
  readonly #commits: Histogram<'ledger'>
  readonly #commitEntries: Histogram<'ledger'>
  readonly #storage: Histogram<'ledger' | 'verb'>
  readonly #errors: Counter
  /** Histograms with their labels bound: looking one up is not for every request. */
  readonly #bound = new Map<string, { observe(value: number): void }>()

  constructor() {
    const registers = [this.#registry]
    collectDefaultMetrics({ register: this.#registry })
    this.#requests = new Histogram({
      name: 'service_fs_request_seconds',
      help: 'From the head of a request to its answer handed over; POST is append.',
      labelNames: ['method', 'status'],
      buckets: SECONDS,
      registers,
    })
    this.#commits = new Histogram({
      name: 'service_fs_commit_seconds',
      help: 'Writing and syncing one commit.',
      labelNames: ['ledger'],
      buckets: SECONDS,
      registers,
    })
    this.#commitEntries = new Histogram({
      name: 'service_fs_commit_entries',
      help: 'Entries in one commit.',
      labelNames: ['ledger'],
      buckets: ENTRIES,
      registers,
    })
    this.#storage = new Histogram({
      name: 'service_fs_storage_seconds',
      help: 'One operation of the storage, its sync included.',
      labelNames: ['ledger', 'verb'],
      buckets: SECONDS,
      registers,
    })
    this.#errors = new Counter({
      name: 'service_fs_errors_total',
      help: 'Answers of 500 and above.',
      registers,
    })
  }

  get contentType(): string {
    return this.#registry.contentType
  }

  text(): Promise<string> {
    return this.#registry.metrics()
  }

  answered(method: string, status: number, seconds: number): void {
    const key = `${method} ${status}`
    let bound = this.#bound.get(key)
    if (bound === undefined) {
      bound = this.#requests.labels({ method, status: String(status) })
      // A client may make up methods: 405 is all that they get.
      if (this.#bound.size < 256) this.#bound.set(key, bound)
    }
    bound.observe(seconds)
    if (status >= 500) this.#errors.inc()
  }

  observer(ledger: LedgerName): LedgerObserver {
    const commits = this.#commits.labels({ ledger })
    const entries = this.#commitEntries.labels({ ledger })
    return {
      committed(commit) {
        commits.observe(commit.milliseconds / 1000)
        entries.observe(commit.entries)
      },
    }
  }

  /** The same storage, its writes timed. */
  timed(storage: StorageCapability, ledger: LedgerName): StorageCapability {
    const time = <A extends unknown[]>(
      verb: string,
      run: (...args: A) => Promise<void>,
    ): ((...args: A) => Promise<void>) => {
      const histogram = this.#storage.labels({ ledger, verb })
      return async (...args) => {
        const started = performance.now()
        await run(...args)
        histogram.observe((performance.now() - started) / 1000)
      }
    }
    return {
      tailMode: storage.tailMode,
      read: (path) => storage.read(path),
      tail: () => storage.tail(),
      close: () => storage.close(),
      commit: time('commit', (size: number, bytes: Uint8Array) => storage.commit(size, bytes)),
      seal: time('seal', (path: string, bytes: Uint8Array) => storage.seal(path, bytes)),
      beginTail: time('begin_tail', (start: number, size: number, bytes: Uint8Array) =>
        storage.beginTail(start, size, bytes),
      ),
      publish: time('publish', (checkpoint: Uint8Array) => storage.publish(checkpoint)),
    }
  }

  /** Shows the sizes and queues of these ledgers. */
  watch(ledgers: Readonly<Partial<Record<LedgerName, Ledger>>>): void {
    const gauge = (name: string, help: string, value: (ledger: Ledger) => number): void => {
      const shown = new Gauge({
        name,
        help,
        labelNames: ['ledger'],
        registers: [this.#registry],
        collect() {
          for (const [ledger, open] of Object.entries(ledgers)) shown.set({ ledger }, value(open))
        },
      })
    }
    gauge('service_fs_tree_size', 'Entries in the newest durable checkpoint.', (l) => l.size)
    gauge('service_fs_sealed_entries', 'Entries in sealed bundles.', (l) => l.status().sealed)
    gauge('service_fs_queue_entries', 'Entries that wait for a commit.', (l) => l.status().queueEntries)
    gauge('service_fs_queue_bytes', 'Bytes of lines that wait for a commit.', (l) => l.status().queueBytes)
    gauge('service_fs_accepting', '1 while appends are taken.', (l) => (l.status().accepting ? 1 : 0))
    gauge(
      'service_fs_times_repeated',
      'Records that repeated the last time: the clock had stepped back.',
      (l) => l.status().timesRepeated,
    )
  }
}
