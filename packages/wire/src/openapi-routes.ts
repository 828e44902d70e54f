/** Descriptions of the routes for OpenAPI, beyond the route table. */
import { integer, ref, WHERE, type Schema } from './openapi-schemas.ts'
import type { ProblemCode } from './problem.ts'
import { FRAMED, NDJSON, TLOG_PROOF } from './request.ts'

/** The description of a route. */
export interface Described {
  readonly operationId: string
  /** Schemas of the path and query parameters, by name. `required` lists the required query parameters. */
  readonly parameters?: Readonly<Record<string, Schema>>
  readonly required?: readonly string[]
  /** Schemas of request headers besides those of all routes. */
  readonly headers?: Readonly<Record<string, Schema>>
  /** Schemas of the request body, by media type. */
  readonly body?: Readonly<Record<string, Schema>>
  /** Schemas of the response bodies, by status and media type. Without a media type there is no body. */
  readonly answers: Readonly<Record<string, Readonly<Record<string, Schema>>>>
  /** Schemas of response headers besides those of all routes, by name. */
  readonly answerHeaders?: Readonly<Record<string, Schema>>
  /** Problem codes besides those of all routes. */
  readonly codes: readonly ProblemCode[]
}

const TEXT: Schema = { type: 'string' }
const BYTES: Schema = {}
const JSON_TYPE = 'application/json'
const CURSOR = integer("index of the record's first entry + 1", 1)

/** Problem codes of routes that append an entry. */
const WRITE_CODES: readonly ProblemCode[] = [
  'too-large',
  'unsupported-media-type',
  'busy',
  'clock-behind',
  'clock-ahead',
  'signer',
  'stopped',
  'read-only',
  'full',
]

const IF_NONE_MATCH: Schema = { type: 'string', description: 'RFC 9110 §13.1.2: 304 if it has the ETag' }

/** Descriptions by pattern. The routes of the audit sub-ledger have the same descriptions as those of the ledger. */
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
        description: 'the identifier, in UTF-8; makes the body a raw payload of any Content-Type',
      },
      'X-Retain-Until': {
        type: 'string',
        description:
          'keep the record until this time, RFC 3339 in UTC with milliseconds; only with X-Payload-ID',
      },
      'X-Signature': {
        type: 'string',
        description:
          "the author's detached signature of the body: a JWS in compact form, or a CMS signature in base64; only with X-Payload-ID",
      },
      'Content-Encoding': {
        type: 'string',
        enum: ['identity', 'gzip'],
        description: 'Envelope A decodes gzip; any other coding is 415',
      },
    },
    body: {
      [JSON_TYPE]: ref('NewRecord'),
      [NDJSON]: {
        type: 'string',
        description: 'lines, each a NewRecord, appended in one commit or not at all',
      },
      [FRAMED]: {
        description:
          'records, appended in one commit or not at all; each is the lengths of its identifier (uint16), type (uint16) and payload (uint32), big-endian, followed by the identifier, the type and the payload',
      },
      '*/*': BYTES,
    },
    answers: {
      200: {
        [JSON_TYPE]: { oneOf: [ref('Appended'), ref('AppendedBatch')] },
        [TLOG_PROOF]: {
          type: 'string',
          description: "the record's proof, if Accept names it; not for a batch",
        },
      },
    },
    answerHeaders: {
      'X-Audit-Index': {
        type: 'string',
        description:
          'index of the audit entry that lists the existing records that this response, or a 409, reveals; absent if it reveals none',
      },
    },
    codes: [
      'bad-record',
      'bad-signature',
      'signature-required',
      'conflict',
      'not-implemented',
      ...WRITE_CODES,
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
    // A correction is for a clock that is behind.
    codes: WRITE_CODES.filter((code) => code !== 'clock-behind'),
  },
  '/v1/retention': {
    operationId: 'stateDuty',
    body: { [JSON_TYPE]: ref('Duty') },
    answers: { 200: { [JSON_TYPE]: ref('Appended') } },
    answerHeaders: {
      'X-Audit-Index': {
        type: 'string',
        description:
          'index of the audit entry of an extension, even if the status is 400, because the response reveals whether a record exists, and of a repeated duty; absent for other duties',
      },
    },
    codes: WRITE_CODES,
  },
  '/v1/trees': {
    operationId: 'trees',
    answers: { 200: { [JSON_TYPE]: ref('Trees') } },
    codes: ['not-implemented'],
  },
  '/v1/rehash': {
    operationId: 'rehash',
    body: { [JSON_TYPE]: ref('Rehash') },
    answers: { 200: { [JSON_TYPE]: ref('Tree') } },
    codes: ['not-implemented', 'too-large', 'unsupported-media-type', 'read-only'],
  },
  '/v1/examine': {
    operationId: 'examine',
    body: { [JSON_TYPE]: ref('Selection') },
    answers: {
      200: {
        'application/zip': {
          description: 'the pack; an archive without its end if it could not be completed',
        },
      },
    },
    answerHeaders: {
      'X-Audit-Index': {
        type: 'string',
        description: 'index of the audit entry with the selection; absent when reads are public',
      },
    },
    codes: [
      'not-implemented',
      'too-large',
      'unsupported-media-type',
      'signer',
      'stopped',
      'clock-behind',
      'clock-ahead',
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
        description: 'indexes of the audit entries of all reads, separated by commas',
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
      limit: integer('largest number of records; the contract has the default and the maximum', 1),
    },
    answers: {
      200: {
        [JSON_TYPE]: ref('Entries'),
        [NDJSON]: { type: 'string', description: 'lines, each a Record' },
      },
    },
    answerHeaders: {
      'X-Next-Cursor': integer('`since` for the next request, if the body does not contain it'),
    },
    codes: [],
  },
  '/v1/follow': {
    operationId: 'follow',
    parameters: {
      since: integer('records whose first entry has at least this index (default 0)'),
      limit: integer('number of records after which the stream ends (default: none)', 1),
    },
    headers: {
      'Last-Event-ID': integer('`id` of the last event received; overrides `since`'),
    },
    answers: {
      200: {
        'text/event-stream': {
          type: 'string',
          description:
            'server-sent events: `record` (data: a Record; id: its cursor), `audit` before each delivery (data: {index, since, next_cursor, entries}), `problem` before the end of the stream on an error (data: a Problem)',
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
    answers: { 200: { [TLOG_PROOF]: { type: 'string', description: 'c2sp.org/tlog-proof' } } },
    codes: ['not-found'],
  },
  '/v1/records/{payload_id}': {
    operationId: 'record',
    parameters: { payload_id: { type: 'string', minLength: 1 } },
    answers: { 200: { [JSON_TYPE]: ref('Record') } },
    codes: ['not-found'],
  },
  '/v1/search': {
    operationId: 'search',
    parameters: {
      from: { type: 'string', description: 'the earliest time, such as 2026-11-22T18:43:00.123Z' },
      to: { type: 'string', description: 'the first time after the selection, in the same form' },
      type: { type: 'string', minLength: 1, description: 'the media type, exactly' },
      prefix: { type: 'string', minLength: 1, description: 'the start of the identifier' },
      where: {
        ...WHERE,
        description:
          'fields of a JSON payload and their values, such as /customer/id=4711: a declared JSON pointer, =, and the text of the value',
      },
      after: integer('records with a greater cursor (default 0): `next_cursor` of the previous page'),
      limit: integer('largest number of records; the contract has the default and the maximum', 1),
    },
    answers: { 200: { [JSON_TYPE]: ref('Found') } },
    codes: ['not-implemented'],
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
      index: integer('index of the entry'),
      size: integer('tree size (default: that of the newest checkpoint)'),
    },
    required: ['index'],
    answers: { 200: { [JSON_TYPE]: ref('InclusionProof') } },
    codes: ['range'],
  },
  '/v1/proof/consistency': {
    operationId: 'consistencyProof',
    parameters: {
      from: integer('size of the older tree'),
      to: integer('size of the newer tree (default: that of the newest checkpoint)'),
    },
    required: ['from'],
    answers: { 200: { [JSON_TYPE]: ref('ConsistencyProof') } },
    codes: ['range'],
  },
  '/checkpoint': {
    operationId: 'tlogCheckpoint',
    headers: { 'If-None-Match': IF_NONE_MATCH },
    answers: {
      200: { 'text/plain': { type: 'string', description: 'c2sp.org/tlog-checkpoint' } },
      304: {},
    },
    answerHeaders: { ETag: { type: 'string', description: 'the size and the root hash of the tree' } },
    codes: [],
  },
  '/tile/{path...}': {
    operationId: 'tile',
    parameters: {
      path: {
        type: 'string',
        description:
          '`<L>/<N>[.p/<W>]` or `entries/<N>[.p/<W>]` (c2sp.org/tlog-tiles), with `.b64` for the stored text; slashes may be sent as %2F',
        pattern: String.raw`^(?:entries|\d{1,2})(?:/x\d{3})*/\d{3}(?:\.p/\d{1,3})?(?:\.b64)?$`,
      },
    },
    headers: { 'If-None-Match': IF_NONE_MATCH },
    answers: {
      200: {
        'application/octet-stream': BYTES,
        'text/plain': { type: 'string', description: 'base64, one hash or entry on each line' },
      },
      304: {},
    },
    answerHeaders: {
      ETag: { type: 'string', description: 'the hash of a full tile; absent for a partial one' },
    },
    codes: ['not-found'],
  },
}
