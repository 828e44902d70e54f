/** Schemas of all JSON bodies (JSON Schema 2020-12, as in OpenAPI 3.1). */
import { MODULE_ID_PATTERN } from '@service-fs/format/module-id'
import { MAX_WHERE } from '@service-fs/format/selection'
import { TREE_ALGORITHMS } from '@service-fs/format/tree-binding'
import { PROBLEMS } from './problem.ts'

export type Schema = { readonly [name: string]: Json } | boolean
export type Json = string | number | boolean | null | readonly Json[] | { readonly [name: string]: Json }

export const ref = (name: string): Schema => ({ $ref: `#/components/schemas/${name}` })
const text = (description: string, more: Readonly<Record<string, Json>> = {}): Schema => ({
  type: 'string',
  description,
  ...more,
})
const listOf = (items: Schema, description: string): Schema => ({ type: 'array', items, description })

/** Returns the schema of an integer from `minimum` to `maximum`. */
export const integer = (
  description: string,
  minimum = 0,
  maximum: number = Number.MAX_SAFE_INTEGER,
): Schema => ({ type: 'integer', minimum, maximum, description })

/** Returns the schema of an object with exactly these members, of which `optional` may be absent. */
function object(properties: Readonly<Record<string, Schema>>, optional: readonly string[] = []): Schema {
  const required = Object.keys(properties).filter((name) => !optional.includes(name))
  return { type: 'object', properties, required, additionalProperties: false }
}

/** Returns the schema of an object with exactly one of two members. */
function eitherOf(schema: Schema, a: string, b: string): Schema {
  if (typeof schema === 'boolean') return schema
  return { ...schema, oneOf: [{ required: [a] }, { required: [b] }] }
}

const INDEX = integer("index of the record's first entry")
const CURSOR = integer("index of the record's first entry + 1", 1)
const TIME = text('RFC 3339, to the millisecond', {
  pattern: String.raw`^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$`,
})
const RETAIN_UNTIL: Schema = {
  ...(TIME as object),
  description: 'keep the record until this time; docs/retention.md',
}
const SHA256 = text('SHA-256 in lower-case hex', { pattern: '^[0-9a-f]{64}$' })
const SIGNATURE = text(
  'the detached signature of the author over the stored bytes: a JWS in compact form, or a CMS signature in base64; docs/signed-origin.md',
  { minLength: 1, maxLength: 87_384 },
)
const PAYLOAD_ID = text('1 to 256 bytes of UTF-8 without control characters', {
  minLength: 1,
  maxLength: 256,
})
const TYPE = text('media type, parameters allowed, of at most 255 bytes', { minLength: 3, maxLength: 255 })
const BASE64 = { type: 'string', contentEncoding: 'base64', pattern: '^[A-Za-z0-9+/]*={0,2}$' } as const
const ORIGIN = text('name of the log in its checkpoints', { minLength: 1 })
const NOTE = text('a signed checkpoint, c2sp.org/tlog-checkpoint')
const VKEYS = listOf(
  { type: 'string', pattern: '^[^+]+\\+[0-9a-f]{8}\\+' },
  'verifier keys, c2sp.org/signed-note',
)
const PAYLOAD: Schema = { description: 'any JSON value; stored as RFC 8785 text' }

const SCOPE = {
  all: { const: true } satisfies Schema,
  type: text('the media type, exactly', { minLength: 1, maxLength: 255 }),
  prefix: text('how the identifier starts', { minLength: 1, maxLength: 256 }),
}
/** Conditions on fields. */
export const WHERE: Readonly<Record<string, Json>> = {
  type: 'array',
  maxItems: MAX_WHERE,
  items: { type: 'string', pattern: '^/[^=]*=' },
}
const HOLD = text('the name of the hold', { pattern: '^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$' })
const PERIOD = text("from a record's time on: years (P6Y) or days (P90D)", {
  pattern: String.raw`^P[1-9]\d{0,5}[YD]$`,
})
const TREE_HASH: Schema = { enum: TREE_ALGORITHMS.map(({ name }) => name) }
const REASON: Schema = { type: 'string', minLength: 1, maxLength: 1000 }

const PLACE: Readonly<Record<string, Schema>> = {
  cursor: CURSOR,
  payload_id: PAYLOAD_ID,
  index: INDEX,
  parts: integer('number of entries of the record', 1),
  leaf_hash: ref('Hash'),
  time: TIME,
  duplicate: { type: 'boolean', description: 'whether the record existed before' },
  author: ref('Author'),
}

const LIMITS = [
  'payload_bytes',
  'payload_id_bytes',
  'type_bytes',
  'append_lines',
  'append_bytes',
  'append_values',
  'entries_default',
  'entries_max',
  'entries_bytes',
  'followers',
]

export const SCHEMAS: Readonly<Record<string, Schema>> = {
  Hash: text('SHA-256 in base64, RFC 6962', { pattern: '^[A-Za-z0-9+/]{43}=$' }),
  Clock: object(
    {
      now: TIME,
      ledger: ref('LedgerClock'),
      audit: ref('LedgerClock'),
    },
    ['audit'],
  ),
  LedgerClock: object(
    {
      newest: TIME,
      problem: { enum: ['clock-behind', 'clock-ahead'] },
    },
    ['newest', 'problem'],
  ),
  ClockCorrection: object({
    newest: text('the latest `newest` in GET /v1/clock of a ledger with the problem clock-behind'),
    reason: { type: 'string', minLength: 1, maxLength: 1000 },
  }),
  ClockCorrected: object({
    corrected: {
      type: 'array',
      items: object({
        ledger: { enum: ['audit', 'ledger'] },
        index: integer('index of the correction entry'),
        newest: TIME,
        time: TIME,
      }),
    },
  }),
  Duty: {
    description:
      'a duty to keep records: all of them, those that type, prefix or both select, or (in a hold) the one that payload_id names; nothing can shorten it',
    oneOf: [
      eitherOf(
        object({ duty: { const: 'policy' }, ...SCOPE, for: PERIOD, until: TIME, reason: REASON }, [
          ...Object.keys(SCOPE),
          'for',
          'until',
        ]),
        'for',
        'until',
      ),
      object({ duty: { const: 'hold' }, hold: HOLD, ...SCOPE, payload_id: PAYLOAD_ID, reason: REASON }, [
        ...Object.keys(SCOPE),
        'payload_id',
      ]),
      object({ duty: { const: 'lift' }, hold: HOLD, reason: REASON }),
      object({ duty: { const: 'extend' }, payload_id: PAYLOAD_ID, until: TIME, reason: REASON }),
    ],
  },
  Rehash: object({ hash: TREE_HASH }),
  Trees: object({ trees: { type: 'array', items: ref('Tree') } }),
  Tree: object(
    {
      hash: TREE_HASH,
      origin: text("the log's origin, a slash and the hash", { minLength: 1 }),
      vkey: text("the tree's own key; absent if it could not be read"),
      state: {
        enum: ['building', 'kept', 'failed'],
        description: 'kept: an entry of the log binds the tree; failed: the tree is not continued',
      },
      size: integer('number of entries that the tree covers'),
      log_size: integer('number of entries of the log'),
      signed_size: integer("number of entries that the tree's checkpoint covers"),
      bound: object({
        index: integer('index of the newest entry that binds the tree'),
        size: integer('number of entries of the bound tree'),
      }),
      problem: text('why the last step failed'),
    },
    ['vkey', 'bound', 'problem'],
  ),
  Selection: object({ from: TIME, to: TIME, type: SCOPE.type, prefix: SCOPE.prefix, where: WHERE }, [
    'from',
    'to',
    'type',
    'prefix',
    'where',
  ]),
  Alive: object({ alive: { const: true } }),
  Ready: object(
    {
      ready: { const: true },
      protections: {
        type: 'object',
        description: 'protections of the ledger files that are in force',
      },
      scrub: {
        type: 'object',
        description: 'whether the background check has found a damaged file that is not repaired yet',
      },
    },
    ['protections', 'scrub'],
  ),
  Contract: object({
    version: text('software version'),
    module_id: text('the tenant', { pattern: MODULE_ID_PATTERN }),
    origin: ORIGIN,
    vkeys: VKEYS,
    hash_algorithms: { type: 'array', items: { const: 'sha-256' } },
    reads: { enum: ['recorded', 'public'], description: 'whether the audit sub-ledger records reads' },
    audit: { oneOf: [{ type: 'null' }, object({ origin: ORIGIN, vkeys: VKEYS })] },
    limits: object(Object.fromEntries(LIMITS.map((name) => [name, integer('', 1)]))),
  }),
  Author: object(
    {
      subject: text('the subject of the signing certificate, RFC 4514'),
      certificate: SHA256,
      chain: listOf(SHA256, 'the other certificates, from the issuer of the signing certificate on'),
      anchor: SHA256,
      signature: SHA256,
      signed_at: TIME,
    },
    ['anchor'],
  ),
  NewRecord: eitherOf(
    object(
      {
        payload_id: PAYLOAD_ID,
        payload: PAYLOAD,
        payload_base64: BASE64,
        type: TYPE,
        retain_until: RETAIN_UNTIL,
        signature: SIGNATURE,
      },
      ['payload', 'payload_base64', 'type', 'retain_until', 'signature'],
    ),
    'payload',
    'payload_base64',
  ),
  Place: object(PLACE, ['author']),
  Appended: object({ ...PLACE, checkpoint: NOTE }, ['author']),
  AppendedBatch: object({ entries: listOf(ref('Place'), 'in the order of the records'), checkpoint: NOTE }),
  Record: eitherOf(
    object(
      {
        cursor: CURSOR,
        payload_id: PAYLOAD_ID,
        type: TYPE,
        time: TIME,
        retain_until: RETAIN_UNTIL,
        author: ref('Author'),
        signature_of: text("the identifier of the signed record, in the record of its author's signature"),
        payload: { description: 'the stored bytes, if they are the RFC 8785 text of a JSON value' },
        payload_base64: { ...BASE64, description: 'the stored bytes' },
      },
      ['retain_until', 'author', 'signature_of', 'payload', 'payload_base64'],
    ),
    'payload',
    'payload_base64',
  ),
  Entries: object({
    module_id: text('the tenant'),
    next_cursor: integer('`since` of the next request'),
    entries: listOf(ref('Record'), 'in order'),
  }),
  Found: object({
    module_id: text('the tenant'),
    size: integer('size of the tree that was searched, in entries'),
    next_cursor: integer('`after` of the next request'),
    complete: { type: 'boolean', description: 'whether all of that tree was searched' },
    hits: listOf(
      object({ cursor: CURSOR, payload_id: PAYLOAD_ID, type: TYPE, time: TIME, index: INDEX }),
      'in order; fewer than `limit` if the search is not complete',
    ),
  }),
  Checkpoint: object({
    origin: ORIGIN,
    size: integer('tree size, in entries'),
    root_hash: ref('Hash'),
    checkpoint: NOTE,
  }),
  InclusionProof: object({
    index: integer('index of the entry'),
    size: integer('tree size', 1),
    leaf_hash: ref('Hash'),
    root_hash: ref('Hash'),
    hashes: listOf(ref('Hash'), 'RFC 6962 §2.1.1'),
  }),
  ConsistencyProof: object({
    from: integer('size of the older tree'),
    to: integer('size of the newer tree'),
    hashes: listOf(ref('Hash'), 'RFC 6962 §2.1.2; empty if `from` is 0 or equals `to`'),
  }),
  JsonRpc: {
    type: 'object',
    description: 'a JSON-RPC 2.0 message of the Model Context Protocol',
    properties: { jsonrpc: { const: '2.0' } },
    required: ['jsonrpc'],
  },
  Problem: {
    type: 'object',
    description: 'RFC 9457; some errors have more members',
    properties: {
      type: text('the code as a URN', { pattern: '^urn:service-fs:problem:[a-z-]+$' }),
      title: text('the kind of error, for people'),
      status: integer('the HTTP status', 400, 599),
      detail: text('the cause of the error, for people'),
      code: text('the kind of error, for programs; stable', { enum: Object.keys(PROBLEMS) }),
      field: text('name of the field, header or parameter'),
      line: integer('line of an NDJSON batch', 1),
      record: integer('record of a framed batch', 1),
      expected: { type: ['string', 'number'], description: 'the expected value' },
      supplied: { type: ['string', 'number'], description: 'the value found' },
      size: integer('tree size, in entries'),
      cursor: integer('cursor of the record', 1),
      allow: text('methods of the route'),
      retry_after: integer('seconds after which the client may retry', 1),
      error: text('RFC 6750 §3.1, for an invalid bearer token'),
    },
    required: ['type', 'title', 'status', 'detail', 'code'],
  },
}
