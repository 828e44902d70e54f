/** The connections of a process with what is told of them: gauges and counters, and two lines of the log for each burst. */
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
  /** Tells of the bursts that go on as over. */
  close(): void
}

const STATES: readonly ConnectionState[] = ['silent', 'idle', 'busy']
const QUIET_MS = 30_000

/** `most`: how many there may be where nothing is configured. */
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
      help: 'Connections that made room for others (address: its share was full; full: all were taken), or sent no byte in time (late).',
      labelNames,
      registers,
    }),
    refused: new Counter({
      name: 'service_fs_connections_refused_total',
      help: 'Connections that were closed at once, because every other one had a request under way.',
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
    began: (key) => log.warn('connections are ended or refused to make room for others', fieldsOf(key)),
    ended: (key, count, seconds) =>
      log.warn('no more connections are ended or refused', { ...fieldsOf(key), count, seconds }),
  })
  const connections = new Connections(config, {
    ...(most === undefined ? {} : { most }),
    turnedAway(what, why, address) {
      counters[what].inc({ why })
      // Who is late harms nobody.
      if (why !== 'late') bursts.add(why === 'full' ? 'full' : address)
    },
  })
  const shown = new Gauge({
    name: 'service_fs_connections',
    help: 'Connections: without a whole request yet (silent), between two requests (idle), with one under way (busy).',
    labelNames: ['state'],
    registers,
    collect() {
      for (const state of STATES) shown.set({ state }, connections.count(state))
    },
  })
  const max = new Gauge({
    name: 'service_fs_connections_max',
    help: 'How many connections there may be.',
    registers,
    collect() {
      max.set(connections.max)
    },
  })
  return { connections, close: () => bursts.close() }
}

/** A key of a burst is an address, or says that all connections were taken. */
function fieldsOf(key: string): { why: Why; address?: string } {
  return key === 'full' ? { why: 'full' } : { why: 'address', address: key }
}
