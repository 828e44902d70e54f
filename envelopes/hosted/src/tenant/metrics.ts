/** A tenant's metrics: latencies, queues, sizes, and the process. They reveal nothing about a ledger's content. */
import { statfs } from 'node:fs/promises'
import { performance } from 'node:perf_hooks'
import type { Ledger, LedgerStatus } from '@service-fs/ledger/ledger'
import type { LedgerObserver } from '@service-fs/ledger/options'
import type { StorageCapability } from '@service-fs/storage/capability'
import type { Synced } from '@service-fs/storage-posix/posix'
import { watchProcess } from '../process/process-metrics.ts'
import { Counter, Gauge, Histogram, Registry, SECONDS } from '../process/prom.ts'
import { RequestTimes } from '../process/request-times.ts'
import type { IndexStatus } from './search/search-index.ts'
import { timedStorage } from './timed-storage.ts'

export type LedgerName = 'main' | 'audit'

type Watched = Pick<Ledger, 'size' | 'status'>

const ENTRIES = [1, 4, 16, 64, 256, 1024, 4096]

function isReadOnly({ accepting, code }: LedgerStatus): boolean {
  return !accepting && (code === 'full' || code === 'read-only')
}

export class Metrics {
  readonly #registry = new Registry()
  readonly #requests: RequestTimes
  readonly #appends: Histogram<'ledger'>
  readonly #commits: Histogram<'ledger'>
  readonly #commitEntries: Histogram<'ledger'>
  readonly #storage: Histogram<'ledger' | 'verb'>
  readonly #storageFailures: Counter<'ledger' | 'verb' | 'code'>
  readonly #syncs: Histogram<'ledger' | 'what'>
  readonly #errors: Counter
  /** Unanswered appends, the oldest first. */
  readonly #waiting: Record<LedgerName, Set<{ since: number }>> = { main: new Set(), audit: new Set() }

  /** Every metric has the label `tenant`. */
  constructor(tenant: string) {
    this.#registry.setDefaultLabels({ tenant })
    watchProcess(this.#registry)
    this.#requests = new RequestTimes(
      this.#seconds(
        'service_fs_request_seconds',
        'Time from the head of a request until its response is sent.',
        ['method', 'status'],
      ),
    )
    this.#appends = this.#seconds(
      'service_fs_append_seconds',
      'Duration of an append; for the audit ledger: how long a read waits until it is recorded.',
      ['ledger'],
    )
    this.#commits = this.#seconds('service_fs_commit_seconds', 'Duration of writing and syncing a commit.', [
      'ledger',
    ])
    this.#storage = this.#seconds(
      'service_fs_storage_seconds',
      'Duration of a successful storage operation, its syncs included.',
      ['ledger', 'verb'],
    )
    this.#syncs = this.#seconds(
      'service_fs_sync_seconds',
      'Duration of an fsync or fdatasync of the tail, a file or a directory.',
      ['ledger', 'what'],
    )
    const registers = [this.#registry]
    this.#commitEntries = new Histogram({
      name: 'service_fs_commit_entries',
      help: 'Entries per commit.',
      labelNames: ['ledger'],
      buckets: ENTRIES,
      registers,
    })
    this.#storageFailures = new Counter({
      name: 'service_fs_storage_failures_total',
      help: 'Failed storage operations, by error code.',
      labelNames: ['ledger', 'verb', 'code'],
      registers,
    })
    this.#errors = new Counter({
      name: 'service_fs_errors_total',
      help: 'Responses with a status of 500 or above.',
      registers,
    })
  }

  #seconds<L extends string>(name: string, help: string, labelNames: L[]): Histogram<L> {
    return new Histogram({ name, help, labelNames, buckets: SECONDS, registers: [this.#registry] })
  }

  /** The registry, to which other parts of the process add metrics. */
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
    this.#requests.observe(method, String(status), seconds)
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

  /** Returns the callback that a storage calls after each sync; see PosixOptions. */
  synced(ledger: LedgerName): (what: Synced, milliseconds: number) => void {
    const bound = {
      tail: this.#syncs.labels({ ledger, what: 'tail' }),
      file: this.#syncs.labels({ ledger, what: 'file' }),
      directory: this.#syncs.labels({ ledger, what: 'directory' }),
    }
    return (what, milliseconds) => bound[what].observe(milliseconds / 1000)
  }

  /** Wraps a storage to time its operations and count its failures. */
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

  /** Adds the number of followers. */
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

  /** Adds the states of the search indexes. */
  watchSearch(indexes: Readonly<Record<LedgerName, { readonly status: IndexStatus }>>): void {
    const gauge = (name: string, help: string, value: (status: IndexStatus) => number): void => {
      const shown = new Gauge({
        name,
        help,
        labelNames: ['ledger'],
        registers: [this.#registry],
        collect() {
          for (const [ledger, { status }] of Object.entries(indexes)) shown.set({ ledger }, value(status))
        },
      })
    }
    gauge(
      'service_fs_search_indexed_entries',
      'Entries that the search index covers; 0 until the first search after the start.',
      ({ entries }) => entries,
    )
    gauge('service_fs_search_index_bytes', 'Bytes of the files of the search index.', ({ bytes }) => bytes)
    gauge('service_fs_search_indexing', '1 while the search index is being built.', ({ isIndexing }) =>
      isIndexing ? 1 : 0,
    )
  }

  /** Adds the sizes and queues of these ledgers, and the free space of the file system of `dir`. */
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
    gauge('service_fs_queue_entries', 'Entries waiting for a commit.', (l) => l.status().queueEntries)
    gauge('service_fs_queue_bytes', 'Bytes of lines waiting for a commit.', (l) => l.status().queueBytes)
    gauge('service_fs_accepting', '1 while the ledger accepts appends.', (l) =>
      l.status().accepting ? 1 : 0,
    )
    gauge(
      'service_fs_read_only',
      '1 while the ledger is read-only: its disk is full or not writable, or --read-only was given.',
      (l) => (isReadOnly(l.status()) ? 1 : 0),
    )
    gauge(
      'service_fs_clock_wrong',
      "1 while the clock stops appends: it is behind the newest record's time, or far ahead of the time since the start.",
      (l) => (l.status().clock === undefined ? 0 : 1),
    )
    gauge(
      'service_fs_times_repeated',
      'Records that repeated the previous time because the clock had stepped back.',
      (l) => l.status().timesRepeated,
    )
    gauge(
      'service_fs_scrub_damaged_files',
      'Sealed files that the background check found damaged.',
      (l) => l.status().scrub?.damaged ?? 0,
    )
    gauge(
      'service_fs_scrub_checked_bundles',
      'Sealed bundles that the running pass of the background check has checked.',
      (l) => l.status().scrub?.checked ?? 0,
    )
    gauge(
      'service_fs_scrub_passed_seconds',
      'When the newest complete pass of the background check ended, in seconds since 1970; 0 before the first.',
      (l) => (l.status().scrub?.passed ?? 0) / 1000,
    )
    gauge(
      'service_fs_scrub_read_bytes',
      'Bytes that the background check has read since the ledger was opened.',
      (l) => l.status().scrub?.bytes ?? 0,
    )
    const waiting = this.#waiting
    const lag = new Gauge({
      name: 'service_fs_audit_lag_seconds',
      help: 'How long the oldest unrecorded read has been waiting; it is answered once it is recorded.',
      registers,
      collect() {
        const [oldest] = waiting.audit
        lag.set(oldest === undefined ? 0 : (performance.now() - oldest.since) / 1000)
      },
    })
    const free = new Gauge({
      name: 'service_fs_disk_free_bytes',
      help: "Bytes that the tenant can still write to its ledger's file system.",
      registers,
      async collect() {
        const found = await statfs(dir).catch(() => undefined)
        if (found !== undefined) free.set(found.bavail * found.bsize)
      },
    })
  }
}
