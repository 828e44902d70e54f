/** The entries of an audit sub-ledger. Each entry records one read with its subject, route, records and time. */
import { TILE_WIDTH, parseTilePath } from '@service-fs/tlog/tile'
import type { Entry } from '@service-fs/format/entry'
import { isTime } from '@service-fs/format/time'
import { visibleLine } from '@service-fs/format/visible'
import { nativeCodec } from '@service-fs/native/native'
import { messageOf } from '@service-fs/format/errors'
import { membersOf } from './http.ts'
import { canonicalJson } from './read.ts'

/** The media type of an audit entry (docs/wire.md, "Audit entries"). */
export const READ_TYPE = 'application/vnd.service-fs.read+json'

/** The payload of an audit entry. Some routes add members: `cursor`, `since`, `tile` and others. */
export interface Read {
  /** The authenticated caller. */
  subject: string
  /** The request's X-Foundry-Request-ID. */
  request_id: string
  /** GET, HEAD or POST. */
  method: string
  /** The route's pattern. */
  route: string
  /** The number of records or entries that the response showed. */
  entries: number
  /** The size of the response body, before compression. */
  bytes: number
  /** The outcome: `shown`, or for an append, `duplicate` or `conflict`. */
  outcome: string
  /** The time of the read, in RFC 3339 and UTC with milliseconds. */
  when: string
  [member: string]: string | number
}

const TEXTS = ['subject', 'request_id', 'method', 'route', 'outcome', 'when'] as const
/** The members whose values are non-negative integers. */
const COUNTS = [
  'entries',
  'bytes',
  'since',
  'limit',
  'next_cursor',
  'cursor',
  'size',
  'index',
  'from',
  'to',
  'records',
]
/** The possible outcomes. An append that finds existing records reveals them, so its outcome is `duplicate` or `conflict`. */
const OUTCOMES: ReadonlySet<string> = new Set(['shown', 'duplicate', 'conflict'])
const STANDING: ReadonlySet<string> = new Set([...TEXTS, 'entries', 'bytes'])

/** Parses the read that an audit entry records. @throws Error with the expected and the found value */
function readOf({ header, payload, split, continuation }: Entry): Read {
  expect(header.type === READ_TYPE, READ_TYPE, header.type)
  expect(split === undefined && continuation === undefined, 'a record of one entry', 'a split record')
  const text = nativeCodec.utf8Decode(payload)
  const read = membersOf(JSON.parse(text))
  expect(canonicalJson(read) === text, 'a JSON object in its RFC 8785 text', text.slice(0, 60))
  for (const name of TEXTS) expect(typeof read[name] === 'string', `${name} as text`, String(read[name]))
  for (const [name, value] of Object.entries(read)) {
    const known = typeof value === 'string' || typeof value === 'number'
    expect(known, `${name} as text or number`, typeof value)
    if (COUNTS.includes(name)) expect(isCount(value), `${name} as a non-negative integer`, String(value))
  }
  const found = read as Read
  expect(isCount(found.entries) && isCount(found.bytes), 'entries and bytes', text.slice(0, 60))
  expect(/^(?:GET|HEAD|POST)$/.test(found.method), 'method GET, HEAD or POST', found.method)
  expect(found.route.startsWith('/'), 'a route', found.route)
  expect(OUTCOMES.has(found.outcome), 'outcome shown, duplicate or conflict', found.outcome)
  expect(isTime(found.when), 'when as RFC 3339 in UTC with milliseconds', found.when)
  expect(header.id.startsWith(`read-${found.request_id}-`), `an id with ${found.request_id}`, header.id)
  checkRange(found)
  return found
}

/** Checks that the number of entries shown fits the range that the read names. */
function checkRange(read: Read): void {
  const { since, next_cursor: next, limit, entries, tile, cursors, records } = read
  if (cursors !== undefined) {
    const most = rangesIn(cursors).reduce((sum, { first, end }) => sum + (end - first), 0)
    // The numbers may differ: a batch may have a record more than once.
    expect(
      most >= 1 && (entries <= most || entries <= Number(records)),
      `cursors of ${entries} records`,
      String(cursors),
    )
  }
  if (typeof since === 'number' && typeof next === 'number') {
    expect(next >= since, `next_cursor from ${since} on`, String(next))
    expect(entries <= next - since, `at most ${next - since} entries`, String(entries))
  }
  if (typeof limit === 'number') expect(entries <= limit, `at most ${limit} entries`, String(entries))
  if (tile === undefined) return
  const { level, width } = parseTilePath(String(tile))
  const most = level === 'entries' ? width : 0
  expect(entries === most || entries === 0, `${most} entries of ${tile}`, String(entries))
}

function expect(holds: boolean, expected: string, found: string): void {
  if (!holds) throw new Error(`expected ${expected}, found ${found}`)
}

function isCount(value: unknown): boolean {
  return Number.isSafeInteger(value) && (value as number) >= 0
}

/** Parses the read that an audit entry records. If the entry records no read, returns the reason. */
export function tryReadOf(entry: Entry): Read | string {
  try {
    return readOf(entry)
  } catch (error) {
    return messageOf(error)
  }
}

/** The entries of a ledger from index `first` up to, but not including, index `end`. */
export interface Span {
  first: number
  end: number
}

/** Returns the entries of the ledger that a read revealed. A read of the sub-ledger reveals no entries of the ledger. */
export function spansOf(read: Read): Span[] {
  const { route, tile, cursor, cursors, since, next_cursor: next, index } = read
  if (route.startsWith('/audit/')) return []
  if (typeof tile === 'string') {
    const { level, index: at, width } = parseTilePath(tile)
    return level === 'entries' ? [{ first: at * TILE_WIDTH, end: at * TILE_WIDTH + width }] : []
  }
  if (cursors !== undefined) return rangesIn(cursors)
  if (typeof cursor === 'number') return [{ first: cursor - 1, end: cursor }]
  if (typeof since === 'number' && typeof next === 'number') return [{ first: since, end: next }]
  return typeof index === 'number' ? [{ first: index, end: index + 1 }] : []
}

/** Parses cursors such as `1-3,7` into the entries that they name. @throws Error for any other text */
function rangesIn(cursors: string | number): Span[] {
  return String(cursors)
    .split(',')
    .map((range) => {
      const [, from = '', to = from] = /^([1-9]\d{0,15})(?:-([1-9]\d{0,15}))?$/.exec(range) ?? []
      const span = { first: Number(from) - 1, end: Number(to) }
      expect(from !== '' && span.end > span.first, 'cursors such as 1-3,7', range)
      return span
    })
}

/** Selects reads. A member that is absent does not restrict the selection. */
export interface ReadFilter {
  subject?: string | undefined
  requestId?: string | undefined
  /** Only reads of this route and of the routes below it. */
  route?: string | undefined
  /** Only reads that revealed one of these entries. */
  span?: Span | undefined
}

/** Reports whether a filter selects a read. */
export function matches(read: Read, filter: ReadFilter): boolean {
  const { subject, requestId, route, span } = filter
  if (subject !== undefined && read.subject !== subject) return false
  if (requestId !== undefined && read.request_id !== requestId) return false
  if (route !== undefined && read.route !== route && !read.route.startsWith(`${route}/`)) return false
  if (span === undefined) return true
  return spansOf(read).some(({ first, end }) => first < span.end && end > span.first)
}

/** Formats a read on one line, with subject, method, route, details and size. */
export function readText(read: Read): string {
  const what = Object.entries(read).filter(([name]) => !STANDING.has(name))
  if (read.outcome !== 'shown') what.unshift(['outcome', read.outcome])
  const words = [read.subject, read.method, read.route, ...what.map(([name, value]) => `${name}=${value}`)]
  return `${words.map(printable).join(' ')} (${read.entries} entries, ${read.bytes} bytes)`
}

/** Returns text that is safe on a terminal, in quotes unless it is a single word. */
function printable(text: string): string {
  if (/^[\x21-\x7e]+$/.test(text)) return text
  return visibleLine(JSON.stringify(text))
}

const MOMENT = /^\d{4}-\d\d-\d\d(?:T\d\d:\d\d(?::\d\d(?:\.\d{1,3})?)?(?:Z|[+-]\d\d:\d\d))?$/

/** Converts a day (to its start in UTC) or an RFC 3339 time to the form of entry times. Returns undefined for any other text. */
export function momentOf(text: string): string | undefined {
  const day = text.slice(0, 10)
  const isDay =
    MOMENT.test(text) && !Number.isNaN(Date.parse(day)) && new Date(day).toISOString().startsWith(day)
  const ms = isDay ? Date.parse(text) : Number.NaN
  return Number.isNaN(ms) ? undefined : new Date(ms).toISOString()
}
