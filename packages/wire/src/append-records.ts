/** Appends records and makes the answer. If the answer reveals existing records, it is recorded as a read. */
import type { Appended, NewRecord } from '@service-fs/ledger/record'

import type { SentRecord } from './authors.ts'
import type { Answer, Call } from './call.ts'
import { Problem, problemOf, problemResponse } from './problem.ts'
import { verifiedRecords } from './signatures.ts'

interface Result {
  readonly entries: readonly Appended[]
  readonly checkpoint: string
}

/**
 * Verifies the signatures of the records, and appends them. `unit` is the place of a record in a batch; undefined if there is only one
 * record. Returns the answer that `render` makes, or the answer to a conflict. Awaits only promises, because each wait costs time.
 */
export async function appendRecords(
  call: Call,
  sent: readonly SentRecord[],
  unit: 'line' | 'record' | undefined,
  render: (result: Result) => Answer | Promise<Answer>,
): Promise<Answer> {
  const { request, appendReads } = call
  const verified = verifiedRecords(call, sent, unit)
  const records = verified instanceof Promise ? await verified : verified
  const entered = appendReads.enter(request, records.length)
  const leave = entered instanceof Promise ? await entered : entered
  try {
    let result: Result
    try {
      result = await call.ledger.append(records)
    } catch (error) {
      return conflictAnswer(call, records, error)
    }
    const shown = appendReads.taken(request, result.entries)
    const rendered = render(result)
    const answer = rendered instanceof Promise ? await rendered : rendered
    if (shown.length > 0) answer.shown = shownDuplicates(records, result.entries, shown)
    return answer
  } finally {
    leave()
  }
}

function conflictAnswer(call: Call, records: readonly NewRecord[], error: unknown): Answer {
  const { request, appendReads } = call
  const problem = problemOf(error)
  const { cursor } = problem.members
  // Without a cursor, both records are in the batch, and the conflict reveals nothing about the ledger.
  if (problem.code !== 'conflict' || typeof cursor !== 'number') throw error
  const isLimited = appendReads.conflict(request)
  const said = isLimited && records.length > 1 ? new Problem('conflict', UNNAMED) : problem
  const id = error instanceof Error && 'recordId' in error ? { payload_id: String(error.recordId) } : {}
  return {
    ...problemResponse(said),
    shown: { what: { ...id, cursor, records: records.length }, entries: 1, outcome: 'conflict' },
  }
}

/** The problem names no identifier: otherwise a batch with one known conflict could probe many identifiers at once. */
const UNNAMED = 'an identifier in this batch is in use; append one record at a time to learn which'

function shownDuplicates(
  records: readonly NewRecord[],
  entries: readonly Appended[],
  places: readonly number[],
): NonNullable<Answer['shown']> {
  const [place] = places
  const cursors = places.map((at) => (entries[at] as Appended).index + 1)
  const what =
    records.length === 1 && place !== undefined
      ? { payload_id: (records[place] as NewRecord).id, cursor: cursors[0] as number }
      : { cursors: rangesOf(cursors), records: records.length }
  return { what, entries: places.length, outcome: 'duplicate' }
}

/** An audit record must fit in one entry. Beyond this many ranges, the last range extends to the last cursor. */
const MOST_RANGES = 1000

/** Returns the cursors in ascending order, as ranges: `1-3,7`. */
export function rangesOf(cursors: readonly number[]): string {
  const ranges: [number, number][] = []
  for (const cursor of [...cursors].sort((a, b) => a - b)) {
    const last = ranges.at(-1)
    if (last !== undefined && (cursor <= last[1] + 1 || ranges.length === MOST_RANGES)) last[1] = cursor
    else ranges.push([cursor, cursor])
  }
  return ranges.map(([from, to]) => (from === to ? String(from) : `${from}-${to}`)).join()
}
