/** The route table. */
import { append, appendHead } from './append.ts'
import type { Handler, WireOptions } from './call.ts'
import { clock, correctClock } from './clock.ts'
import { contract } from './contract.ts'
import { entryByCursor, listEntries, recordById } from './entries.ts'
import { examine } from './examine.ts'
import { follow } from './follow.ts'
import { healthz, mcp, mcpHead, metrics, readyz } from './envelope.ts'
import type { Codec } from '@service-fs/tlog/codec'
import { operatorHead } from './operator-body.ts'
import type { WireRequest } from './request.ts'
import { stateDuty } from './retention.ts'
import type { Permission } from './roles.ts'
import { search } from './search.ts'
import { checkpoint, consistencyProof, inclusionProof, recordProof } from './proofs.ts'
import { tile, tlogCheckpoint } from './tiles.ts'
import { rehash, trees } from './trees.ts'

/** A route. */
export interface Route {
  /** A GET route also answers HEAD. */
  readonly method: 'GET' | 'POST'
  /** The path. `{name}` matches one segment, and `{name...}` at the end matches all remaining segments. */
  readonly pattern: string
  /** Names of the query parameters. */
  readonly query: readonly string[]
  /** The query parameters that may be repeated. */
  readonly lists?: readonly string[]
  /** Whether every response is a read, to be recorded before it is sent. */
  readonly recorded: boolean
  /** Whether the response is a stream, until the client or the server ends it. */
  readonly streams?: true
  /** Whether the request must name the tenant. */
  readonly tenant: boolean
  /** The roles that permit the route, if credentials are configured. */
  readonly permission: Permission
  /** Whether the route is about the audit sub-ledger. */
  readonly audit: boolean
  /** This route exists only if the server has this option. */
  readonly needs?: 'metrics' | 'mcp'
  /** Checks the parts of a request's head that only this route has. @throws Problem */
  readonly head?: (request: Pick<WireRequest, 'header'>, codec: Codec) => void
  /** One line, for OpenAPI. */
  readonly summary: string
  readonly handler: Handler
}

const plain = (pattern: string, handler: Handler, summary: string): Route => ({
  method: 'GET',
  pattern,
  query: [],
  recorded: false,
  tenant: false,
  permission: 'anybody',
  audit: false,
  summary,
  handler,
})

const read = (pattern: string, handler: Handler, summary: string, query: readonly string[] = []): Route => ({
  ...plain(pattern, handler, summary),
  query,
  recorded: true,
  tenant: true,
  permission: ['read', 'examine'],
})

const READS: readonly Route[] = [
  {
    // Clients that append need the limits, and the keys to verify receipts.
    ...read('/v1/contract', contract, 'Version, tenant, origin, keys, limits, hash algorithms'),
    permission: ['append', 'read', 'examine'],
  },
  read('/v1/entries', listEntries, 'Records in order', ['since', 'limit']),
  read('/v1/entries/{cursor}', entryByCursor, 'One record'),
  read('/v1/entries/{cursor}/proof', recordProof, 'The .tlog-proof of one entry'),
  read('/v1/records/{payload_id}', recordById, 'One record by its identifier'),
  {
    ...read('/v1/search', search, 'Records by time, type, start of the identifier and fields', [
      'from',
      'to',
      'type',
      'prefix',
      'where',
      'after',
      'limit',
    ]),
    lists: ['where'],
  },
  read('/v1/checkpoint', checkpoint, 'The signed checkpoint'),
  read('/v1/proof/inclusion', inclusionProof, 'An inclusion proof', ['index', 'size']),
  read('/v1/proof/consistency', consistencyProof, 'A consistency proof', ['from', 'to']),
  read('/checkpoint', tlogCheckpoint, 'The signed checkpoint (tlog-tiles)'),
  read('/tile/{path...}', tile, 'A tile or an entry bundle (tlog-tiles); as text with .b64'),
]

export const ROUTES: readonly Route[] = [
  plain('/healthz', healthz, 'Liveness'),
  plain('/readyz', readyz, 'Readiness to append'),
  { ...plain('/metrics', metrics, 'Metrics for Prometheus'), permission: ['operate'], needs: 'metrics' },
  {
    ...plain('/v1/append', append, 'Append a record or a batch; responds when durable'),
    method: 'POST',
    tenant: true,
    permission: ['append'],
    head: appendHead,
  },
  {
    ...plain('/v1/clock', clock, 'The clock, and the times of the newest records'),
    tenant: true,
    permission: ['operate'],
  },
  {
    ...plain(
      '/v1/clock/correct',
      correctClock,
      'Correct the time of the ledger to the clock, and record the correction',
    ),
    method: 'POST',
    tenant: true,
    permission: ['operate'],
    head: operatorHead,
  },
  {
    ...plain(
      '/v1/retention',
      stateDuty,
      'State a duty to keep records: a policy, a hold, its end, an extension',
    ),
    method: 'POST',
    tenant: true,
    permission: ['operate'],
    head: operatorHead,
  },
  {
    ...plain('/v1/trees', trees, 'The second trees, with other hashes, and how far they are'),
    tenant: true,
    permission: ['operate'],
  },
  {
    ...plain('/v1/rehash', rehash, 'Build a second tree over the ledger, with another hash, and keep it'),
    method: 'POST',
    tenant: true,
    permission: ['operate'],
    head: operatorHead,
  },
  {
    ...plain('/v1/examine', examine, "An examiner's pack of selected records, as a zip archive"),
    method: 'POST',
    streams: true,
    tenant: true,
    permission: ['examine'],
    head: operatorHead,
  },
  {
    ...plain('/mcp', mcp, 'Model Context Protocol, streamable HTTP'),
    method: 'POST',
    tenant: true,
    permission: ['append', 'read', 'examine'],
    head: mcpHead,
    needs: 'mcp',
  },
  ...READS,
  {
    ...read('/v1/follow', follow, 'Stream of records as they become durable', ['since', 'limit']),
    streams: true,
  },
  ...READS.map((route) => ({
    ...route,
    pattern: `/audit${route.pattern}`,
    audit: true,
    permission: ['examine'] as const,
    summary: `${route.summary}, of the audit sub-ledger`,
  })),
]

/** Returns the routes of a server with these options. */
export function routesOf(options: Pick<WireOptions, 'metrics' | 'mcp'>): readonly Route[] {
  return ROUTES.filter(({ needs }) => needs === undefined || options[needs] !== undefined)
}

export interface Match {
  route: Route
  /** Still percent-encoded. */
  params: Record<string, string>
}

/** Returns a function that finds the route of a path. Fixed paths are in a map; the few patterns are tried in order. */
export function createMatcher(routes: readonly Route[]): (path: string) => Match | undefined {
  const whole = new Map<string, Match>()
  const patterns: { route: Route; segments: string[] }[] = []
  for (const route of routes) {
    if (route.pattern.includes('{')) patterns.push({ route, segments: route.pattern.split('/') })
    else whole.set(route.pattern, { route, params: {} })
  }
  return (path) => {
    const found = whole.get(path)
    if (found !== undefined) return found
    const segments = path.split('/', MAX_SEGMENTS)
    for (const { route, segments: pattern } of patterns) {
      const params = matchSegments(pattern, segments)
      if (params !== undefined) return { route, params }
    }
    return undefined
  }
}

/** A tile's path has at most 10 segments. A longer path matches no route. */
const MAX_SEGMENTS = 16

function matchSegments(
  pattern: readonly string[],
  segments: readonly string[],
): Record<string, string> | undefined {
  const params: Record<string, string> = {}
  for (const [i, part] of pattern.entries()) {
    const segment = segments[i]
    if (segment === undefined) return undefined
    if (part.endsWith('...}')) {
      params[part.slice(1, -4)] = segments.slice(i).join('/')
      return params
    }
    if (part.startsWith('{')) params[part.slice(1, -1)] = segment
    else if (part !== segment) return undefined
  }
  return segments.length === pattern.length ? params : undefined
}
