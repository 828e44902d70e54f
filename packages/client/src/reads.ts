/** What the audit sub-ledger says of one read: who, what, when. */
import { TILE_WIDTH, parseTilePath } from '@service-fs/tlog/tile'
import type { Entry } from '@service-fs/format/entry'
import { visibleLine } from '@service-fs/format/visible'
import { nativeCodec } from '@service-fs/native/native'
import { messageOf } from '@service-fs/format/errors'
import { membersOf } from './http.ts'
import { canonicalJson } from './read.ts'

/** The media type of an audit entry (docs/wire.md, "Audit entries"). */
export const READ_TYPE = 'application/vnd.service-fs.read+json'

/** The payload of an audit entry. By route it has further members: `cursor`, `since`, `tile` and so on. */
export interface Read {
  subject: string
  request_id: string
  method: string
  /** The route's pattern. */
  route: string
  /** Records or entries that were shown. */
  entries: number
  /** Of the answer's body, before compression. */
  bytes: number
  outcome: string
  /** RFC 3339 in UTC with milliseconds. */
  when: string
  [member: string]: string | number
}

const TEXTS = ['subject', 'request_id', 'method', 'route', 'outcome', 'when'] as const
/** Whole numbers from 0 wherever they stand. */
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
/** `duplicate` and `conflict`: what an append told of records that were there before. */
const OUTCOMES: ReadonlySet<string> = new Set(['shown', 'duplicate', 'conflict'])
const STANDING: ReadonlySet<string> = new Set([...TEXTS, 'entries', 'bytes'])

/** The read that an entry of an audit sub-ledger records. @throws Error that says what was expected and what was found */
function readOf({ header, payload, split, continuation }: Entry): Read {
  expect(header.type === READ_TYPE, READ_TYPE, header.type)
  expect(split === undefined && continuation === undefined, 'an entry of its own', 'a split record')
  const text = nativeCodec.utf8Decode(payload)
  const read = membersOf(JSON.parse(text))
  expect(canonicalJson(read) === text, 'a JSON object in its RFC 8785 text', text.slice(0, 60))
  for (const name of TEXTS) expect(typeof read[name] === 'string', `${name} as text`, String(read[name]))
  for (const [name, value] of Object.entries(read)) {
    const known = typeof value === 'string' || typeof value === 'number'
    expect(known, `${name} as text or number`, typeof value)
    if (COUNTS.includes(name)) expect(isCount(value), `${name} as a whole number`, String(value))
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

/** What it says that it showed must agree with where it says that this was. */
function checkRange(read: Read): void {
  const { since, next_cursor: next, limit, entries, tile, cursors, records } = read
  if (cursors !== undefined) {
    const most = rangesIn(cursors).reduce((sum, { first, end }) => sum + (end - first), 0)
    // A record may stand in a batch more than once.
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

function isTime(text: string): boolean {
  const ms = Date.parse(text)
  return !Number.isNaN(ms) && new Date(ms).toISOString() === text
}

/** As {@link readOf}, or the reason why an entry records no read. */
export function tryReadOf(entry: Entry): Read | string {
  try {
    return readOf(entry)
  } catch (error) {
    return messageOf(error)
  }
}

/** Entries of a ledger, from the index `first` up to, not including, `end`. */
export interface Span {
  first: number
  end: number
}

/** The entries of the ledger that a read showed, proved or told of; none where it is about none, or about the sub-ledger. */
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

/** The entries of cursors as `1-3,7`. @throws Error for another text */
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

/** Which reads are looked for; what is absent is not looked at. */
export interface ReadFilter {
  subject?: string | undefined
  requestId?: string | undefined
  /** A route, with all that are below it. */
  route?: string | undefined
  /** Reads that showed one of these entries. */
  span?: Span | undefined
}

export function matches(read: Read, filter: ReadFilter): boolean {
  const { subject, requestId, route, span } = filter
  if (subject !== undefined && read.subject !== subject) return false
  if (requestId !== undefined && read.request_id !== requestId) return false
  if (route !== undefined && read.route !== route && !read.route.startsWith(`${route}/`)) return false
  if (span === undefined) return true
  return spansOf(read).some(({ first, end }) => first < span.end && end > span.first)
}

/** A read on one line: who, how, what, how much. */
export function readText(read: Read): string {
  const what = Object.entries(read).filter(([name]) => !STANDING.has(name))
  if (read.outcome !== 'shown') what.unshift(['outcome', read.outcome])
  const words = [read.subject, read.method, read.route, ...what.map(([name, value]) => `${name}=${value}`)]
  return `${words.map(printable).join(' ')} (${read.entries} entries, ${read.bytes} bytes)`
}

/** Text that no terminal takes for anything else, in quotes where it is more than one word. */
function printable(text: string): string {
  if (/^[\x21-\x7e]+$/.test(text)) return text
  return visibleLine(JSON.stringify(text))
}

const MOMENT = /^\d{4}-\d\d-\d\d(?:T\d\d:\d\d(?::\d\d(?:\.\d{1,3})?)?(?:Z|[+-]\d\d:\d\d))?$/

/** A day (its beginning in UTC) or RFC 3339 as the time of entries has it; undefined when the text is neither. */
export function momentOf(text: string): string | undefined {
  const day = text.slice(0, 10)
  const isDay =
    MOMENT.test(text) && !Number.isNaN(Date.parse(day)) && new Date(day).toISOString().startsWith(day)
  const ms = isDay ? Date.parse(text) : Number.NaN
  return Number.isNaN(ms) ? undefined : new Date(ms).toISOString()
}
