/** The tool `ledger.verify`: verifies a record against the signed checkpoint, by the same code as the command line. */
import { ClientError } from '@service-fs/client/errors'
import { checkPayloadProof, type Proved } from '@service-fs/client/proof'
import { Trust } from '@service-fs/client/trust'
import { nativeHasher } from '@service-fs/native/native'
import { verifyConsistency } from '@service-fs/tlog/proof'
import { canonicalJson, parseJson } from '@service-fs/wire/canonicaljson'
import * as z from 'zod/v4'
import { flag, integer, json, oneOf, refused, text } from './arguments.ts'
import type { Caller } from './caller.ts'

/** The arguments of `ledger.verify`. */
export const verifyArguments: z.ZodObject<
  {
    payload_id: z.ZodOptional<z.ZodString>
    cursor: z.ZodOptional<z.ZodInt>
    payload: z.ZodOptional<z.ZodUnknown>
    payload_base64: z.ZodOptional<z.ZodString>
    checkpoint: z.ZodOptional<z.ZodString>
    audit: z.ZodOptional<z.ZodBoolean>
  },
  z.core.$strict
> = z.strictObject({
  payload_id: text("the record's identifier, 1 to 256 bytes of UTF-8"),
  cursor: integer({ minimum: 1, description: "the record's cursor: the index of its first entry, plus 1" }),
  payload: json('any JSON value; stored as its RFC 8785 canonical text'),
  payload_base64: text('bytes in base64 with padding'),
  checkpoint: text('an earlier signed checkpoint of this ledger'),
  audit: flag(
    'read the audit sub-ledger, which has the recorded reads; needs the role examine (default false)',
  ),
})

type Given = z.output<typeof verifyArguments>

/** Verifies a record. Returns `{verified: true, …}` with the proved values, or `{verified: false, reason}`. @throws Refused */
export async function verify(caller: Caller, given: Given): Promise<string> {
  const ledger = new Checked(caller, given.audit === true)
  const { cursor, payload } = await ledger.record(given)
  const kept = given.checkpoint
  try {
    const proved = checkPayloadProof(
      await ledger.read(`entries/${cursor}/proof`),
      payload,
      ledger.trust.policy,
    )
    const from = kept === undefined ? {} : { goes_on_from: await ledger.goesOn(kept, proved) }
    const { index, id, type, time, leafHash, origin, size, root } = proved
    const entry = { cursor, index, payload_id: id, type, time, leaf_hash: leafHash }
    const tree = { origin, size, root_hash: root, ...from, vkeys: ledger.vkeys }
    return JSON.stringify({ verified: true, ...entry, ...tree })
  } catch (error) {
    if (!(error instanceof Error) || error.name === 'Refused') throw error
    if (!(error instanceof ClientError) && error.name !== 'TlogError') throw error
    return JSON.stringify({ verified: false, cursor, reason: error.message })
  }
}

class Checked {
  readonly vkeys: readonly string[]
  readonly trust: Trust
  readonly #caller: Caller
  readonly #base: string

  constructor(caller: Caller, isAudit: boolean) {
    const { ledger, audit } = caller.call.options
    this.#caller = caller
    this.#base = isAudit ? '/audit/v1/' : '/v1/'
    this.vkeys = isAudit ? (audit?.vkeys ?? []) : ledger.vkeys
    this.trust = Trust.shown(this.vkeys, 'v1/contract')
  }

  async read(path: string): Promise<string> {
    return (await this.#caller.get(this.#base + path)).text
  }

  /** Returns the record's cursor and the payload to check: the given payload, or else the payload in the ledger. */
  async record(given: Given): Promise<{ cursor: number; payload: Uint8Array }> {
    const held = this.#given(given)
    if (oneOf(given, 'payload_id', 'cursor') === 'payload_id') {
      const { cursor, payload } = parseRecord(
        await this.read(`records/${encodeURIComponent(given.payload_id ?? '')}`),
      )
      return { cursor, payload: held ?? payload }
    }
    const cursor = given.cursor ?? 0
    return { cursor, payload: held ?? parseRecord(await this.read(`entries/${cursor}`)).payload }
  }

  #given(given: Given): Uint8Array | undefined {
    const { payload, payload_base64: base64 } = given
    if (payload === undefined && base64 === undefined) return undefined
    if (oneOf(given, 'payload', 'payload_base64') === 'payload') return Buffer.from(canonicalJson(payload))
    try {
      return this.#caller.call.options.codec.base64Decode(base64 ?? '')
    } catch {
      throw refused('payload_base64', 'canonical base64 with padding (RFC 4648 §4)', base64 ?? '')
    }
  }

  /** Returns the size of an earlier checkpoint that the proof's tree extends. @throws ClientError, TlogError */
  async goesOn(kept: string, { origin, size, root }: Proved): Promise<number> {
    const earlier = this.trust.open(kept, origin)
    if (earlier.size > size)
      throw new ClientError('false', `checkpoint: expected a size of at most ${size}, found ${earlier.size}`)
    const { hashes } = JSON.parse(await this.read(`proof/consistency?from=${earlier.size}&to=${size}`)) as {
      hashes: string[]
    }
    const trees = { from: earlier.size, to: size, fromRoot: earlier.root, toRoot: root }
    verifyConsistency({ ...trees, proof: hashes }, nativeHasher)
    return earlier.size
  }
}

interface RecordJson {
  cursor: number
  payload?: unknown
  payload_base64?: string
}

/** Parses a record in the JSON of the wire. */
function parseRecord(body: string): { cursor: number; payload: Uint8Array } {
  const { cursor, payload, payload_base64: base64 } = parseJson(body) as RecordJson
  return {
    cursor,
    payload: Buffer.from(base64 ?? canonicalJson(payload), base64 === undefined ? 'utf8' : 'base64'),
  }
}
