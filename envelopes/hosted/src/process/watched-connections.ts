/** The connections of a process with their metrics, and two log lines for each burst of evictions. */
import { Bursts } from './bursts.ts'
import {
  Connections,
  type ConnectionsConfig,
  type ConnectionState,
  type Why,
} from '@service-fs/http/connections'
import type { Logger } from './log.ts'
import { Counter, Gauge, type Registry } from './prom.ts'

export interface WatchedConnections {
  readonly connections: Connections
  /** Logs the end of every current burst. */
  close(): void
}

const STATES: readonly ConnectionState[] = ['silent', 'idle', 'busy']
const QUIET_MS = 30_000

/** `most` is the default limit. */
export function watchedConnections(
  config: ConnectionsConfig,
  log: Pick<Logger, 'warn'>,
  registry: Registry,
  most?: number,
): WatchedConnections {
  const registers = [registry]
  const labelNames: 'why'[] = ['why']
  const counters = {
    ended: new Counter({
      name: 'service_fs_connections_ended_total',
      help: 'Evicted connections, by cause: its address had its share of connections (address), the total was reached (full), or it sent no byte in time (late).',
      labelNames,
      registers,
    }),
    refused: new Counter({
      name: 'service_fs_connections_refused_total',
      help: 'Connections refused because all others were busy.',
      labelNames,
      registers,
    }),
  }
  const whys = { ended: ['address', 'full', 'late'], refused: ['address', 'full'] } as const
  for (const what of ['ended', 'refused'] as const)
    for (const why of whys[what]) counters[what].inc({ why }, 0)
  const bursts = new Bursts({
    least: 1,
    windowMs: 0,
    quietMs: QUIET_MS,
    began: (key) => log.warn('evicting or refusing connections to make room for others', fieldsOf(key)),
    ended: (key, count, seconds) =>
      log.warn('no longer evicting or refusing connections', { ...fieldsOf(key), count, seconds }),
  })
  const connections = new Connections(config, {
    ...(most === undefined ? {} : { most }),
    turnedAway(what, why, address) {
      counters[what].inc({ why })
      // Do not report a late connection: it harms no other client.
      if (why !== 'late') bursts.add(why === 'full' ? 'full' : address)
    },
  })
  const shown = new Gauge({
    name: 'service_fs_connections',
    help: 'Connections: without a complete request yet (silent), between two requests (idle), with a request in progress (busy).',
    labelNames: ['state'],
    registers,
    collect() {
      for (const state of STATES) shown.set({ state }, connections.count(state))
    },
  })
  const max = new Gauge({
    name: 'service_fs_connections_max',
    help: 'The maximum number of connections.',
    registers,
    collect() {
      max.set(connections.max)
    },
  })
  return { connections, close: () => bursts.close() }
}

/** Returns the log fields for a burst's key: an address or `full`. */
function fieldsOf(key: string): { why: Why; address?: string } {
  return key === 'full' ? { why: 'full' } : { why: 'address', address: key }
}
