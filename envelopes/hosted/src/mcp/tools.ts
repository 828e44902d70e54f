/** The tools. Each asks a route of the wire, and answers with what that answers. */
import { Arguments, schema, type InputSchema } from './arguments.ts'
import type { Caller } from './caller.ts'
import { verify } from './verify.ts'

export interface Tool {
  readonly name: string
  readonly title: string
  readonly description: string
  readonly inputSchema: InputSchema
  readonly writes: boolean
  /** The text of the answer. @throws Refused */
  run(caller: Caller, given: Arguments): Promise<string>
}

const CURSOR = {
  type: 'integer',
  minimum: 1,
  description: "the record's cursor: the index of its first entry, plus 1",
}
const INDEX = { type: 'integer', minimum: 0 }
const AUDIT = {
  type: 'boolean',
  description: 'of the audit sub-ledger, which records who read what; takes the role examine (default false)',
}
const PAYLOAD_ID = { type: 'string', description: "the record's identifier, 1 to 256 bytes of UTF-8" }
const PAYLOAD = { description: 'any JSON value; kept as its RFC 8785 canonical text' }
const BASE64 = { type: 'string', description: 'bytes in base64 with padding' }

/** Path and query of a read, below /v1 or /audit/v1. */
function target(given: Arguments, path: string, ...query: string[]): string {
  const pairs = query.flatMap((name) => {
    const value = given.integer(name)
    return value === undefined ? [] : [`${name}=${value}`]
  })
  const prefix = given.flag('audit') ? '/audit/v1/' : '/v1/'
  return prefix + path + (pairs.length === 0 ? '' : `?${pairs.join('&')}`)
}

function read(
  name: string,
  title: string,
  description: string,
  inputSchema: InputSchema,
  path: (given: Arguments) => string,
): Tool {
  const run = async (caller: Caller, given: Arguments): Promise<string> =>
    (await caller.get(path(given))).text
  return { name, title, description, inputSchema, writes: false, run }
}

export const TOOLS: readonly Tool[] = [
  {
    name: 'ledger.append',
    title: 'Append a record',
    description:
      'Append one record for good: nothing changes or removes it later. Answers when it is durable, with its cursor and a ' +
      'signed checkpoint that covers it. The same payload_id with the same content again is the same record (duplicate: ' +
      'true), so a call may be repeated; with other content it is refused.',
    inputSchema: schema(
      {
        payload_id: PAYLOAD_ID,
        payload: { ...PAYLOAD, description: `${PAYLOAD.description}; or payload_base64, one of the two` },
        payload_base64: BASE64,
        type: { type: 'string', description: 'the media type (default application/json)' },
      },
      'payload_id',
    ),
    writes: true,
    run: async (caller, given) => (await caller.post('/v1/append', JSON.stringify(given.values))).text,
  },
  read(
    'ledger.entries',
    'Read records in order',
    'The records whose first entry has an index of at least `since`, with `next_cursor`, the `since` that goes on from there.',
    schema({
      since: { ...INDEX, description: 'default 0: from the beginning' },
      limit: { type: 'integer', minimum: 1, maximum: 1000, description: 'how many at most (default 100)' },
      audit: AUDIT,
    }),
    (given) => target(given, 'entries', 'since', 'limit'),
  ),
  read(
    'ledger.record',
    'Read one record',
    'One record, by its identifier or its cursor.',
    schema({ payload_id: PAYLOAD_ID, cursor: CURSOR, audit: AUDIT }),
    (given) =>
      given.oneOf('payload_id', 'cursor') === 'cursor'
        ? target(given, `entries/${given.integer('cursor')}`)
        : target(given, `records/${encodeURIComponent(given.text('payload_id') ?? '')}`),
  ),
  read(
    'ledger.checkpoint',
    'Read the checkpoint',
    'The newest signed checkpoint: origin, size, root hash, and the signed note. Who keeps one can later prove that nothing before it was changed.',
    schema({ audit: AUDIT }),
    (given) => target(given, 'checkpoint'),
  ),
  read(
    'ledger.prove_inclusion',
    'Prove that an entry is in the tree',
    'The inclusion proof (RFC 6962 section 2.1.1) of the entry with this index in the tree of this size.',
    schema(
      { index: INDEX, size: { ...INDEX, description: "default: the newest checkpoint's" }, audit: AUDIT },
      'index',
    ),
    (given) => target(given, 'proof/inclusion', 'index', 'size'),
  ),
  read(
    'ledger.prove_consistency',
    'Prove that a tree goes on from an earlier one',
    'The consistency proof (RFC 6962 section 2.1.2) between the trees of two sizes.',
    schema(
      { from: INDEX, to: { ...INDEX, description: "default: the newest checkpoint's size" }, audit: AUDIT },
      'from',
    ),
    (given) => target(given, 'proof/consistency', 'from', 'to'),
  ),
  read(
    'ledger.proof',
    "A record's proof",
    "The record's .tlog-proof (c2sp.org/tlog-proof) at the newest checkpoint, which can be checked without the ledger.",
    schema({ cursor: CURSOR, audit: AUDIT }, 'cursor'),
    (given) => target(given, `entries/${given.integer('cursor')}/proof`),
  ),
  {
    name: 'ledger.verify',
    title: 'Verify a record',
    description:
      'Check a record against the signed checkpoint: its leaf hash, the inclusion proof up to the root, the signature. With ' +
      'payload or payload_base64 it is checked that the ledger holds exactly that; with checkpoint, one that was kept from ' +
      'before, also that the ledger goes on from it. The server checks, with the keys that it shows: who does not trust it ' +
      'takes ledger.proof and checks that elsewhere.',
    inputSchema: schema({
      payload_id: PAYLOAD_ID,
      cursor: CURSOR,
      payload: PAYLOAD,
      payload_base64: BASE64,
      checkpoint: { type: 'string', description: 'a signed checkpoint of this ledger from before' },
      audit: AUDIT,
    }),
    writes: false,
    run: verify,
  },
]

/** Those that the caller's roles allow. */
export function toolsOf(caller: Caller): readonly Tool[] {
  return TOOLS.filter(({ writes }) => (writes ? caller.may('append') : caller.may('read', 'examine')))
}
