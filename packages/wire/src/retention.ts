/** POST /v1/retention: an operator states a duty to keep records. docs/retention.md has the rules. */
import type { Revealed, StatedDuty, StatedResult } from '@service-fs/ledger/duty-book'
import { isProblem, readDuty, type DutyProblem } from '@service-fs/format/duty'
import type { Codec } from '@service-fs/tlog/codec'

import { entryMembers } from './append.ts'
import { rangesOf } from './append-records.ts'
import { jsonAnswer, type Answer, type Call, type Shown } from './call.ts'
import { badField } from './fields.ts'
import { operatorBody } from './operator-body.ts'
import { isFailure, problemOf, problemResponse, type Problem } from './problem.ts'

/** The members of a duty entry that only the ledger sets, never a client. */
const OWN = ['index', 'was', 'subject', 'request_id']

export async function stateDuty(call: Call): Promise<Answer> {
  const { request, requestId, options, ledger } = call
  const { codec } = options
  const own = { subject: request.subject ?? 'anonymous', request_id: requestId }
  const stated = statedIn(operatorBody(request, codec), own, codec)
  const outcome = await ledger.stateDuty(stated)
  const shown = shownBy(stated, outcome)
  if (!('result' in outcome)) {
    const error = 'problem' in outcome ? fieldProblem(outcome.problem) : outcome.failure
    if (shown === undefined) throw error
    const problem = problemOf(error)
    if (isFailure(problem)) options.report?.(error, requestId)
    return { ...problemResponse(problem), shown }
  }
  const { entries, checkpoint } = outcome.result
  const [entry] = entries
  if (entry === undefined) throw new Error('a duty returned no entry')
  const body = `{${entryMembers(outcome.id, entry)},"checkpoint":${JSON.stringify(checkpoint)}}`
  return jsonAnswer(body, shown)
}

/**
 * Returns the read to record for the answer. The answer to an extension reveals whether a record has the identifier, and the answer to a
 * repeated duty reveals its entry. Other answers reveal nothing.
 */
function shownBy(stated: StatedDuty, outcome: StatedResult): Shown | undefined {
  const record = shownRecord(stated, outcome.reveals)
  const entry = 'result' in outcome ? outcome.result.entries[0] : undefined
  if (!('id' in outcome) || entry?.duplicate !== true) return record
  const { payload_id = outcome.id, cursor: first } = record?.what ?? {}
  const cursor = entry.index + 1
  return typeof first === 'number'
    ? { what: { payload_id, cursors: rangesOf([first, cursor]) }, entries: 2, outcome: 'duplicate' }
    : { what: { payload_id, cursor }, entries: 1, outcome: 'duplicate' }
}

function shownRecord(stated: StatedDuty, reveals: Revealed | undefined): Shown | undefined {
  if (reveals === undefined || stated.duty !== 'extend') return undefined
  const { payload_id } = stated
  const { index } = reveals
  return { what: { payload_id, ...(index === undefined ? {} : { cursor: index + 1 }) }, entries: 1 }
}

/** Returns the duty that a body states. @throws Problem 400 */
function statedIn(value: unknown, own: { subject: string; request_id: string }, codec: Codec): StatedDuty {
  const members = typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : undefined
  const { duty } = members ?? {}
  for (const name of OWN)
    if (members !== undefined && name in members)
      throw badField(name, 'a member that clients may state', 'a member that only the ledger states')
  const isExtension = duty === 'extend'
  // Only the ledger knows the index. The ledger checks the duty again with the real index.
  const whole = members === undefined ? value : { ...members, ...own, ...(isExtension ? { index: 0 } : {}) }
  const read = readDuty(whole, codec)
  if (isProblem(read)) throw fieldProblem(read)
  if (read.duty !== 'extend') return read
  const { index: _, ...stated } = read
  return stated
}

function fieldProblem({ field, expected, found }: DutyProblem): Problem {
  return badField(field, expected, found)
}
