/** The Prometheus text of /metrics: sizes, queues, the disk. It contains no contents of a ledger. */
import type { Ledger } from '@service-fs/ledger/ledger'
import type { PsdbStat } from '@service-fs/storage-psdb/storage'

export const PROMETHEUS_TEXT = 'text/plain; version=0.0.4; charset=utf-8'

/** Counts answers by method and status. */
export class Requests {
  readonly #counts = new Map<string, { method: string; status: number; count: number; seconds: number }>()

  answered(method: string, status: number, milliseconds: number): void {
    const key = `${method} ${status}`
    let found = this.#counts.get(key)
    if (found === undefined) {
      found = { method, status, count: 0, seconds: 0 }
      // A client may send any number of unknown methods. Bound the memory for them.
      if (this.#counts.size < 256) this.#counts.set(key, found)
    }
    found.count += 1
    found.seconds += milliseconds / 1000
  }

  lines(): string[] {
    const lines = ['# TYPE service_fs_request_seconds summary']
    for (const { method, status, count, seconds } of this.#counts.values()) {
      const labels = `{method="${method.replace(/[^A-Za-z]/g, '_')}",status="${status}"}`
      lines.push(`service_fs_request_seconds_sum${labels} ${seconds}`)
      lines.push(`service_fs_request_seconds_count${labels} ${count}`)
    }
    return lines
  }
}

const GAUGES: readonly [name: string, help: string, value: (ledger: Ledger) => number][] = [
  ['service_fs_tree_size', 'Entries in the newest durable checkpoint.', (l) => l.size],
  ['service_fs_sealed_entries', 'Entries in sealed bundles.', (l) => l.status().sealed],
  ['service_fs_queue_entries', 'Entries that wait for a commit.', (l) => l.status().queueEntries],
  ['service_fs_queue_bytes', 'Bytes of lines that wait for a commit.', (l) => l.status().queueBytes],
  ['service_fs_accepting', '1 while appends are taken.', (l) => (l.status().accepting ? 1 : 0)],
  [
    'service_fs_clock_wrong',
    "1 while no record gets a time: the clock is behind the newest record's time, or far ahead of the time elapsed since the start.",
    (l) => (l.status().clock === undefined ? 0 : 1),
  ],
  [
    'service_fs_times_repeated',
    'Records that repeated the last time: the clock had stepped back.',
    (l) => l.status().timesRepeated,
  ],
]

export function metricsText(
  ledgers: Readonly<Record<string, Ledger>>,
  requests: Requests,
  disk: PsdbStat,
  { connections, followers }: { connections: number; followers: number },
): string {
  const lines: string[] = []
  for (const [name, help, value] of GAUGES) {
    lines.push(`# HELP ${name} ${help}`, `# TYPE ${name} gauge`)
    for (const [ledger, open] of Object.entries(ledgers))
      lines.push(`${name}{ledger="${ledger}"} ${value(open)}`)
  }
  lines.push(
    '# HELP service_fs_disk_sectors Sectors of 512 bytes of the disk.',
    '# TYPE service_fs_disk_sectors gauge',
    `service_fs_disk_sectors ${disk.sectors}`,
    '# HELP service_fs_disk_free_sectors Sectors that were never written.',
    '# TYPE service_fs_disk_free_sectors gauge',
    `service_fs_disk_free_sectors ${disk.free}`,
    '# HELP service_fs_connections Open connections.',
    '# TYPE service_fs_connections gauge',
    `service_fs_connections ${connections}`,
    '# HELP service_fs_followers Clients that follow the ledger.',
    '# TYPE service_fs_followers gauge',
    `service_fs_followers ${followers}`,
    ...requests.lines(),
  )
  return `${lines.join('\n')}\n`
}
