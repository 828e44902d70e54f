/** The MCP tools. Most tools call one route of the wire, and return the body of the response. */
import * as z from 'zod/v4'
import {
  integer,
  json,
  jsonSchemaOf,
  oneOf,
  parseArguments,
  text,
  texts,
  type InputSchema,
} from './arguments.ts'
import type { Caller } from './caller.ts'
import { verify, verifyArguments } from './verify.ts'

export interface Tool {
  readonly name: string
  readonly title: string
  readonly description: string
  readonly inputSchema: InputSchema
  readonly writes: boolean
  /** Checks the arguments, and returns the text of the result. @throws Refused */
  run(caller: Caller, values: Readonly<Record<string, unknown>>): Promise<string>
}

interface Definition<S extends z.ZodObject> extends Omit<Tool, 'inputSchema' | 'run' | 'writes'> {
  readonly input: S
  readonly writes?: boolean
  readonly run: (caller: Caller, given: z.output<S>) => Promise<string>
}

function tool<S extends z.ZodObject>({ input, run, writes = false, ...rest }: Definition<S>): Tool {
  return {
    ...rest,
    writes,
    inputSchema: jsonSchemaOf(input),
    run: (caller, values) => run(caller, parseArguments(input, values)),
  }
}

/** Returns a tool that reads the target that `path` returns. */
function read<S extends z.ZodObject>({
  path,
  ...rest
}: Omit<Definition<S>, 'run'> & { readonly path: (given: z.output<S>) => string }): Tool {
  return tool({ ...rest, run: async (caller, given) => (await caller.get(path(given))).text })
}

/** Returns the path and query of a read, below /v1 or /audit/v1. */
function target(
  { audit }: { audit?: boolean | undefined },
  path: string,
  query: Readonly<Record<string, number | string | readonly string[] | undefined>> = {},
): string {
  const pairs = Object.entries(query).flatMap(([name, value = []]) => {
    const values = typeof value === 'object' ? value : [value]
    return values.map((one) => `${name}=${encodeURIComponent(one)}`)
  })
  const prefix = audit === true ? '/audit/v1/' : '/v1/'
  return prefix + path + (pairs.length === 0 ? '' : `?${pairs.join('&')}`)
}

const cursor = verifyArguments.shape.cursor
const audit = verifyArguments.shape.audit
const payloadId = verifyArguments.shape.payload_id
const INDEX = { minimum: 0 }

export const TOOLS: readonly Tool[] = [
  tool({
    name: 'ledger.append',
    title: 'Append a record',
    description:
      'Append one record permanently: it cannot be changed or removed later. Answers when it is durable, with its cursor and a ' +
      'signed checkpoint that covers it. The same payload_id with the same content again is the same record (duplicate: ' +
      'true), so a call may be repeated; with other content it is refused.',
    input: z.strictObject({
      payload_id: payloadId.unwrap(),
      payload: json(
        'any JSON value; stored as its RFC 8785 canonical text. Give either payload or payload_base64',
      ),
      payload_base64: verifyArguments.shape.payload_base64,
      type: text('the media type (default application/json)'),
      retain_until: text(
        'keep the record until this time, RFC 3339 in UTC with milliseconds: 2033-11-22T18:43:00.000Z',
      ),
      signature: text(
        "the author's detached signature of the stored payload: a JWS in compact form with x5c, or a CMS signature in base64",
      ),
    }),
    writes: true,
    run: async (caller, given) => (await caller.post('/v1/append', JSON.stringify(given))).text,
  }),
  read({
    name: 'ledger.entries',
    title: 'Read records in order',
    description:
      'Returns the records whose first entry has an index of at least `since`. `next_cursor` is the `since` of the next page.',
    input: z.strictObject({
      since: integer({ ...INDEX, description: 'default 0: from the beginning' }),
      limit: integer({ minimum: 1, maximum: 1000, description: 'how many at most (default 100)' }),
      audit,
    }),
    path: (given) => target(given, 'entries', { since: given.since, limit: given.limit }),
  }),
  read({
    name: 'ledger.record',
    title: 'Read one record',
    description: 'Returns the record with an identifier or a cursor.',
    input: z.strictObject({ payload_id: payloadId, cursor, audit }),
    path: (given) =>
      oneOf(given, 'payload_id', 'cursor') === 'cursor'
        ? target(given, `entries/${given.cursor}`)
        : target(given, `records/${encodeURIComponent(given.payload_id ?? '')}`),
  }),
  read({
    name: 'ledger.search',
    title: 'Find records',
    description:
      'Returns the cursor, identifier, type and time of each record that meets every condition, in order. Read a record with ledger.record. ' +
      'One call reads a bounded number of entries, so a page may have no hits. Unless `complete` is true, call again with `next_cursor` as ' +
      '`after`.',
    input: z.strictObject({
      from: text('the earliest time, such as 2026-11-22T18:43:00.123Z'),
      to: text('the first time after the selection, in the same form'),
      type: text('the media type, exactly'),
      prefix: text('the start of the identifier'),
      where: texts(
        'fields of a JSON payload and their values, such as /customer/id=4711: a declared JSON pointer, =, and the text of the value',
      ),
      after: integer({ ...INDEX, description: 'only records with a greater cursor (default 0)' }),
      limit: integer({ minimum: 1, maximum: 1000, description: 'how many at most (default 100)' }),
      audit,
    }),
    path: ({ audit: isAudit, ...query }) => target({ audit: isAudit }, 'search', query),
  }),
  read({
    name: 'ledger.checkpoint',
    title: 'Read the checkpoint',
    description:
      'Returns the newest signed checkpoint: origin, size, root hash, and the signed note. Keep it to prove later that nothing before it was changed.',
    input: z.strictObject({ audit }),
    path: (given) => target(given, 'checkpoint'),
  }),
  read({
    name: 'ledger.prove_inclusion',
    title: 'Prove that an entry is in the tree',
    description:
      'Returns the inclusion proof (RFC 6962 section 2.1.1) of the entry with this index in the tree of this size.',
    input: z.strictObject({
      index: integer(INDEX).unwrap(),
      size: integer({ ...INDEX, description: "default: the newest checkpoint's" }),
      audit,
    }),
    path: (given) => target(given, 'proof/inclusion', { index: given.index, size: given.size }),
  }),
  read({
    name: 'ledger.prove_consistency',
    title: 'Prove that a tree extends an earlier one',
    description: 'Returns the consistency proof (RFC 6962 section 2.1.2) between the trees of two sizes.',
    input: z.strictObject({
      from: integer(INDEX).unwrap(),
      to: integer({ ...INDEX, description: "default: the newest checkpoint's size" }),
      audit,
    }),
    path: (given) => target(given, 'proof/consistency', { from: given.from, to: given.to }),
  }),
  read({
    name: 'ledger.proof',
    title: "A record's proof",
    description:
      "Returns the record's .tlog-proof (c2sp.org/tlog-proof) at the newest checkpoint, which can be checked without the ledger.",
    input: z.strictObject({ cursor: cursor.unwrap(), audit }),
    path: (given) => target(given, `entries/${given.cursor}/proof`),
  }),
  tool({
    name: 'ledger.verify',
    title: 'Verify a record',
    description:
      'Check a record against the signed checkpoint: its leaf hash, the inclusion proof up to the root, the signature. With ' +
      'payload or payload_base64, also that the ledger holds exactly that payload; with checkpoint, also that the ledger ' +
      'extends that earlier checkpoint. The server verifies with its own keys; to verify without trusting the ' +
      'server, get ledger.proof and verify it elsewhere.',
    input: verifyArguments,
    run: verify,
  }),
]

/** Returns the tools that the caller's roles allow. */
export function toolsOf(caller: Caller): readonly Tool[] {
  return TOOLS.filter(({ writes }) => (writes ? caller.may('append') : caller.may('read', 'examine')))
}
