/** What OpenAPI says of each route beyond the route table. */
import { integer, ref, type Schema } from './openapi-schemas.ts'
import type { ProblemCode } from './problem.ts'

export interface Described {
  readonly operationId: string
  /** Schemas of the parameters in path and query, by name; those in `required` must be given. */
  readonly parameters?: Readonly<Record<string, Schema>>
  readonly required?: readonly string[]
  /** Schemas of request headers that mean something here, beside those that all routes take. */
  readonly headers?: Readonly<Record<string, Schema>>
  /** By media type. */
  readonly body?: Readonly<Record<string, Schema>>
  /** By status, then by media type; no media type: no body. Absent: 200 with `answer`. */
  readonly answers: Readonly<Record<string, Readonly<Record<string, Schema>>>>
  /** Response headers beside those of all routes, by name. */
  readonly answerHeaders?: Readonly<Record<string, Schema>>
  /** Its own errors, beside those that all routes have. */
  readonly codes: readonly ProblemCode[]
}

const TEXT: Schema = { type: 'string' }
const BYTES: Schema = {}
const JSON_TYPE = 'application/json'
const NDJSON = 'application/x-ndjson'
const PROOF = 'text/x.tlog-proof'
const CURSOR = integer("index of the record's first entry + 1", 1)

/** By the route's pattern; those of the audit sub-ledger are the ledger's. */
export const DESCRIBED: Readonly<Record<string, Described>> = {
  '/healthz': { operationId: 'alive', answers: { 200: { [JSON_TYPE]: ref('Alive') } }, codes: [] },
  '/readyz': {
    operationId: 'ready',
    answers: { 200: { [JSON_TYPE]: ref('Ready') } },
    codes: ['not-ready'],
  },
  '/metrics': { operationId: 'metrics', answers: { 200: { 'text/plain': TEXT } }, codes: ['no-route'] },
  '/v1/append': {
    operationId: 'append',
    headers: {
      'X-Payload-ID': {
        type: 'string',
        description:
          'the identifier, in UTF-8: then the body is the payload itself, whatever its Content-Type',
      },
      'Content-Encoding': {
        type: 'string',
        enum: ['identity', 'gzip'],
        description: 'gzip in Envelope A, which keeps what was coded; any other coding is refused',
      },
    },
    body: {
      [JSON_TYPE]: ref('NewRecord'),
      [NDJSON]: { type: 'string', description: 'lines, each a NewRecord: one commit, all or none' },
      '*/*': BYTES,
    },
    answers: {
      200: {
        [JSON_TYPE]: { oneOf: [ref('Appended'), ref('AppendedBatch')] },
        [PROOF]: { type: 'string', description: "the record's proof, when Accept names it; not for a batch" },
      },
    },
    answerHeaders: {
      'X-Audit-Index': {
        type: 'string',
        description:
          'the entry of the audit sub-ledger that records what this answer, or 409, tells of records that were there already; absent when it tells of none',
      },
    },
    codes: [
      'bad-record',
      'conflict',
      'too-large',
      'unsupported-media-type',
      'busy',
      'clock-behind',
      'clock-ahead',
      'signer',
      'stopped',
      'read-only',
      'full',
    ],
  },
  '/v1/clock': {
    operationId: 'clock',
    answers: { 200: { [JSON_TYPE]: ref('Clock') } },
    codes: [],
  },
  '/v1/clock/correct': {
    operationId: 'correctClock',
    body: { [JSON_TYPE]: ref('ClockCorrection') },
    answers: { 200: { [JSON_TYPE]: ref('ClockCorrected') } },
    codes: [
      'too-large',
      'unsupported-media-type',
      'busy',
      'clock-ahead',
      'signer',
      'stopped',
      'read-only',
      'full',
    ],
  },
  '/mcp': {
    operationId: 'mcp',
    body: { [JSON_TYPE]: ref('JsonRpc') },
    answers: {
      200: { [JSON_TYPE]: ref('JsonRpc') },
      202: {},
      400: { [JSON_TYPE]: ref('JsonRpc') },
      406: { [JSON_TYPE]: ref('JsonRpc') },
      415: { [JSON_TYPE]: ref('JsonRpc') },
    },
    answerHeaders: {
      'X-Audit-Index': {
        type: 'string',
        description:
          'indexes, separated by commas, of the entries of the audit sub-ledger that record what was read',
      },
    },
    codes: ['no-route', 'too-large', 'unsupported-media-type'],
  },
  '/v1/contract': {
    operationId: 'contract',
    answers: { 200: { [JSON_TYPE]: ref('Contract') } },
    codes: [],
  },
  '/v1/entries': {
    operationId: 'entries',
    parameters: {
      since: integer('records whose first entry has at least this index (default 0)'),
      limit: integer('how many at most; the contract says the default and the largest', 1),
    },
    answers: {
      200: {
        [JSON_TYPE]: ref('Entries'),
        [NDJSON]: { type: 'string', description: 'lines, each a Record' },
      },
    },
    answerHeaders: {
      'X-Next-Cursor': integer('the `since` that goes on from here, where it is not in the body'),
    },
    codes: [],
  },
  '/v1/follow': {
    operationId: 'follow',
    parameters: {
      since: integer('records whose first entry has at least this index (default 0)'),
      limit: integer('ends after so many records; absent: goes on', 1),
    },
    headers: {
      'Last-Event-ID': integer('the `id` of the last event that was seen: in place of `since`'),
    },
    answers: {
      200: {
        'text/event-stream': {
          type: 'string',
          description:
            'server-sent events: `record` (data: a Record; id: its cursor), `audit` before each batch (data: {index, since, next_cursor, entries}), `problem` before an end that is an error (data: a Problem)',
        },
      },
    },
    codes: ['range', 'busy'],
  },
  '/v1/entries/{cursor}': {
    operationId: 'entry',
    parameters: { cursor: CURSOR },
    answers: { 200: { [JSON_TYPE]: ref('Record') } },
    codes: ['not-found', 'not-a-record'],
  },
  '/v1/entries/{cursor}/proof': {
    operationId: 'entryProof',
    parameters: { cursor: CURSOR },
    answers: { 200: { [PROOF]: { type: 'string', description: 'c2sp.org/tlog-proof' } } },
    codes: ['not-found'],
  },
  '/v1/records/{payload_id}': {
    operationId: 'record',
    parameters: { payload_id: { type: 'string', minLength: 1 } },
    answers: { 200: { [JSON_TYPE]: ref('Record') } },
    codes: ['not-found'],
  },
  '/v1/checkpoint': {
    operationId: 'checkpoint',
    answers: {
      200: {
        'text/plain': { type: 'string', description: 'c2sp.org/tlog-checkpoint' },
        [JSON_TYPE]: ref('Checkpoint'),
      },
    },
    codes: [],
  },
  '/v1/proof/inclusion': {
    operationId: 'inclusionProof',
    parameters: {
      index: integer('of the entry'),
      size: integer("of the tree (default: the newest checkpoint's)"),
    },
    required: ['index'],
    answers: { 200: { [JSON_TYPE]: ref('InclusionProof') } },
    codes: ['range'],
  },
  '/v1/proof/consistency': {
    operationId: 'consistencyProof',
    parameters: {
      from: integer('size of the older tree'),
      to: integer("size of the newer tree (default: the newest checkpoint's)"),
    },
    required: ['from'],
    answers: { 200: { [JSON_TYPE]: ref('ConsistencyProof') } },
    codes: ['range'],
  },
  '/checkpoint': {
    operationId: 'tlogCheckpoint',
    answers: { 200: { 'text/plain': { type: 'string', description: 'c2sp.org/tlog-checkpoint' } } },
    codes: [],
  },
  '/tile/{path...}': {
    operationId: 'tile',
    parameters: {
      path: {
        type: 'string',
        description:
          '`<L>/<N>[.p/<W>]` or `entries/<N>[.p/<W>]` (c2sp.org/tlog-tiles), with `.b64` the stored text; its slashes may go out as they are or as %2F',
        pattern: String.raw`^(?:entries|\d{1,2})(?:/x\d{3})*/\d{3}(?:\.p/\d{1,3})?(?:\.b64)?$`,
      },
    },
    answers: {
      200: {
        'application/octet-stream': BYTES,
        'text/plain': { type: 'string', description: 'base64, a hash or an entry a line' },
      },
    },
    codes: ['not-found'],
  },
}
