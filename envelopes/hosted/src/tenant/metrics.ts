/** What a tenant's /metrics shows: latencies, queues, sizes, and the process. Nothing of what is in a ledger. */
import { statfs } from 'node:fs/promises'
import { performance } from 'node:perf_hooks'
import type { Ledger, LedgerStatus } from '@service-fs/ledger/ledger'
import type { LedgerObserver } from '@service-fs/ledger/options'
import type { StorageCapability } from '@service-fs/storage/capability'
import type { Synced } from '@service-fs/storage-posix/posix'
import { watchProcess } from '../process/process-metrics.ts'
import { Counter, Gauge, Histogram, Registry, SECONDS } from '../process/prom.ts'
import { timedStorage } from './timed-storage.ts'

export type LedgerName = 'main' | 'audit'

type Watched = Pick<Ledger, 'size' | 'status'>

const ENTRIES = [1, 4, 16, 64, 256, 1024, 4096]

function isReadOnly({ accepting, code }: LedgerStatus): boolean {
  return !accepting && (code === 'full' || code === 'read-only')
}

export class Metrics {
  readonly #registry = new Registry()
  readonly #requests: Histogram<'method' | 'status'>
  readonly #appends: Histogram<'ledger'>
  readonly #commits: Histogram<'ledger'>
  readonly #commitEntries: Histogram<'ledger'>
  readonly #storage: Histogram<'ledger' | 'verb'>
  readonly #storageFailures: Counter<'ledger' | 'verb' | 'code'>
  readonly #syncs: Histogram<'ledger' | 'what'>
  readonly #errors: Counter
  /** Appends that are not answered yet, the oldest first. */
  readonly #waiting: Record<LedgerName, Set<{ since: number }>> = { main: new Set(), audit: new Set() }
  /** Histograms with their labels bound: looking one up is not for every request. */
  readonly #bound = new Map<string, { observe(value: number): void }>()

  /** Every metric has the label `tenant`. */
  constructor(tenant: string) {
    this.#registry.setDefaultLabels({ tenant })
    watchProcess(this.#registry)
    this.#requests = this.#seconds(
      'service_fs_request_seconds',
      'From the head of a request to its answer handed over.',
      ['method', 'status'],
    )
    this.#appends = this.#seconds(
      'service_fs_append_seconds',
      'From an append handed to the ledger to its answer; of the audit ledger: how long a read waits until it is recorded.',
      ['ledger'],
    )
    this.#commits = this.#seconds('service_fs_commit_seconds', 'Writing and syncing one commit.', ['ledger'])
    this.#storage = this.#seconds(
      'service_fs_storage_seconds',
      'One operation of the storage that succeeded, its syncs included.',
      ['ledger', 'verb'],
    )
    this.#syncs = this.#seconds(
      'service_fs_sync_seconds',
      'One fsync or fdatasync: of the tail, of a file, of a directory.',
      ['ledger', 'what'],
    )
    const registers = [this.#registry]
    this.#commitEntries = new Histogram({
      name: 'service_fs_commit_entries',
      help: 'Entries in one commit.',
      labelNames: ['ledger'],
      buckets: ENTRIES,
      registers,
    })
    this.#storageFailures = new Counter({
      name: 'service_fs_storage_failures_total',
      help: 'Operations of the storage that failed, by the code of the error.',
      labelNames: ['ledger', 'verb', 'code'],
      registers,
    })
    this.#errors = new Counter({
      name: 'service_fs_errors_total',
      help: 'Answers of 500 and above.',
      registers,
    })
  }

  #seconds<L extends string>(name: string, help: string, labelNames: L[]): Histogram<L> {
    return new Histogram({ name, help, labelNames, buckets: SECONDS, registers: [this.#registry] })
  }

  /** Where what is beside the ledgers is shown as well. */
  get registry(): Registry {
    return this.#registry
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
    const appends = this.#appends.labels({ ledger })
    const commits = this.#commits.labels({ ledger })
    const entries = this.#commitEntries.labels({ ledger })
    const waiting = this.#waiting[ledger]
    return {
      appending() {
        const append = { since: performance.now() }
        waiting.add(append)
        return () => {
          waiting.delete(append)
          appends.observe((performance.now() - append.since) / 1000)
        }
      },
      committed(commit) {
        commits.observe(commit.milliseconds / 1000)
        entries.observe(commit.entries)
      },
    }
  }

  /** What a storage is to call after each sync; see PosixOptions. */
  synced(ledger: LedgerName): (what: Synced, milliseconds: number) => void {
    const bound = {
      tail: this.#syncs.labels({ ledger, what: 'tail' }),
      file: this.#syncs.labels({ ledger, what: 'file' }),
      directory: this.#syncs.labels({ ledger, what: 'directory' }),
    }
    return (what, milliseconds) => bound[what].observe(milliseconds / 1000)
  }

  /** The same storage, its operations timed and its failures counted. */
  timed(storage: StorageCapability, ledger: LedgerName): StorageCapability {
    const bound = new Map<string, { observe(value: number): void }>()
    return timedStorage(storage, {
      done: (verb, seconds) => {
        let histogram = bound.get(verb)
        if (histogram === undefined) bound.set(verb, (histogram = this.#storage.labels({ ledger, verb })))
        histogram.observe(seconds)
      },
      failed: (verb, code) => this.#storageFailures.inc({ ledger, verb, code }),
    })
  }

  /** Shows how many follow the ledger. */
  followers(count: () => number): void {
    const shown = new Gauge({
      name: 'service_fs_followers',
      help: 'Clients that follow the ledger.',
      registers: [this.#registry],
      collect() {
        shown.set(count())
      },
    })
  }

  /** Shows the sizes and queues of these ledgers, and the room on the file system of `dir`. */
  watch(ledgers: Readonly<Partial<Record<LedgerName, Watched>>>, dir: string): void {
    const registers = [this.#registry]
    const gauge = (name: string, help: string, value: (ledger: Watched) => number): void => {
      const shown = new Gauge({
        name,
        help,
        labelNames: ['ledger'],
        registers,
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
      'service_fs_read_only',
      '1 while it can only be read: its disk is full or takes no writes, or that was asked for.',
      (l) => (isReadOnly(l.status()) ? 1 : 0),
    )
    gauge(
      'service_fs_clock_wrong',
      "1 while no record gets a time: the clock is behind the newest record's, or far ahead of the time that has passed since the start.",
      (l) => (l.status().clock === undefined ? 0 : 1),
    )
    gauge(
      'service_fs_times_repeated',
      'Records that repeated the last time: the clock had stepped back.',
      (l) => l.status().timesRepeated,
    )
    const waiting = this.#waiting
    const lag = new Gauge({
      name: 'service_fs_audit_lag_seconds',
      help: 'How long the oldest read that is not recorded yet has waited for it; it is not answered before.',
      registers,
      collect() {
        const [oldest] = waiting.audit
        lag.set(oldest === undefined ? 0 : (performance.now() - oldest.since) / 1000)
      },
    })
    const free = new Gauge({
      name: 'service_fs_disk_free_bytes',
      help: "Bytes that the tenant may still write on its ledger's file system.",
      registers,
      async collect() {
        const found = await statfs(dir).catch(() => undefined)
        if (found !== undefined) free.set(found.bavail * found.bsize)
      },
    })
  }
}
