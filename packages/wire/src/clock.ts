/** GET /v1/clock compares the clock with the newest records; POST /v1/clock/correct records an operator's correction. */
import type { Codec } from '@service-fs/tlog/codec'
import * as v from 'valibot'
import { jsonAnswer, type Answer, type Call, type WireLedger } from './call.ts'
import { badField } from './fields.ts'
import { operatorBody } from './operator-body.ts'
import type { WireRequest } from './request.ts'

const MAX_REASON = 1000
/** Characters that a one-line text cannot have: control characters, lone surrogates, line separators, bidirectional controls. */
// oxlint-disable-next-line no-control-regex
const UNFIT = /[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]/u

const correctionSchema = v.strictObject({ newest: v.string(), reason: v.string() })

/** Returns the ledgers of the tenant by their names in the response. The audit sub-ledger is first, because reads need it. */
function ledgersOf({ options }: Call): [name: 'audit' | 'ledger', ledger: WireLedger][] {
  const main: ['ledger', WireLedger] = ['ledger', options.ledger]
  return options.audit === undefined ? [main] : [['audit', options.audit], main]
}

/** GET /v1/clock: the time, and for each ledger the newest record's time and the problem of the clock, if any. */
export async function clock(call: Call): Promise<Answer> {
  const ledgers: Record<string, unknown> = {}
  let now = ''
  for (const [name, ledger] of ledgersOf(call).reverse()) {
    const { newest, problem, now: ms } = await ledger.clock()
    now = new Date(ms).toISOString()
    ledgers[name] = { newest, problem: problem?.code }
  }
  return jsonAnswer(JSON.stringify({ now, ...ledgers }))
}

/**
 * POST /v1/clock/correct `{newest, reason}`: appends a correction entry to each ledger whose newest record is ahead of the clock
 * by more than the tolerance. `newest` must be the latest time of those records, so a repeated request corrects nothing.
 */
export async function correctClock(call: Call): Promise<Answer> {
  const { request, requestId, options } = call
  const { newest, reason } = correctionOf(request, options.codec)
  const behind: { name: string; ledger: WireLedger; before: string }[] = []
  for (const [name, ledger] of ledgersOf(call)) {
    const { newest: before = '', problem } = await ledger.clock()
    if (problem?.code === 'clock-ahead') throw problem
    if (problem !== undefined) behind.push({ name, ledger, before })
  }
  const expected = behind
    .map(({ before }) => before)
    .sort()
    .at(-1)
  if (expected === undefined)
    throw badField('newest', 'a clock behind the newest record', 'a clock that needs no correction')
  if (newest !== expected) throw badField('newest', `${expected}, as in GET /v1/clock`, newest)
  const corrected: unknown[] = []
  for (const { name, ledger, before } of behind) {
    const { entries } = await ledger.correctClock(`clock-${requestId}-${options.requestId()}`, {
      newest: before,
      reason,
      subject: request.subject ?? 'anonymous',
      request_id: requestId,
    })
    corrected.push({ ledger: name, index: entries[0]?.index, newest: before, time: entries[0]?.time })
  }
  return jsonAnswer(JSON.stringify({ corrected }))
}

function correctionOf(request: WireRequest, codec: Codec): { newest: string; reason: string } {
  const value = operatorBody(request, codec)
  const parsed = v.safeParse(correctionSchema, value, { abortEarly: true })
  if (!parsed.success) {
    const [issue] = parsed.issues
    throw badField(v.getDotPath(issue) ?? 'body', issue.expected ?? 'a valid value', issue.received)
  }
  const { newest, reason } = parsed.output
  if (reason.trim() === '' || reason.length > MAX_REASON || UNFIT.test(reason))
    throw badField(
      'reason',
      `1 to ${MAX_REASON} characters without control characters`,
      JSON.stringify(reason),
    )
  return { newest, reason }
}
