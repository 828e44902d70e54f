/** Checks of the records in the body of an append. A problem names the field and, in a batch, the line or the framed record. */
import { RETAIN_FIELD, TIME_EXPECTED } from '@service-fs/format/duty'
import { idProblem, typeProblem, type Field } from '@service-fs/format/entry'
import { isTime } from '@service-fs/format/time'
import type { Codec } from '@service-fs/tlog/codec'

import { badField, inPlace, type Place } from './fields.ts'
import type { Limits } from './limits.ts'
import { Problem } from './problem.ts'

export const ID_EXPECTED = '1 to 256 bytes of UTF-8 without control characters'
const TYPE_EXPECTED = 'a media type of at most 255 bytes, such as application/pdf'

/** Returns `id` if it is an identifier. @throws Problem 400 */
export function checkedId(id: string, field: string, place: Place | undefined, codec: Codec): string {
  const problem = idProblem(id, codec)
  if (problem === undefined) return id
  throw badField(field, ID_EXPECTED, JSON.stringify(id), place)
}

const TOKEN = "[\\w!#$%&'*+.^`|~-]+"
const MEDIA_TYPE = new RegExp(
  `^${TOKEN}/${TOKEN}(?:[ \\t]*;[ \\t]*${TOKEN}=(?:${TOKEN}|"[ !#-\\[\\]-~]*"))*$`,
)

/** Returns `type` if it is a media type, parameters included (RFC 9110 §8.3.1), of at most 255 bytes. @throws Problem 400 */
export function checkedType(type: string, field: string, place: Place | undefined): string {
  if (type === 'application/json') return type
  if (type.length <= 255 && MEDIA_TYPE.test(type) && typeProblem(type) === undefined) return type
  throw badField(field, TYPE_EXPECTED, JSON.stringify(type), place)
}

/** Returns the header fields of a record that must be kept until `time`. @throws Problem 400 */
export function retainFields(time: string, field: string, place: Place | undefined): readonly Field[] {
  if (isTime(time)) return [[RETAIN_FIELD, time]]
  throw badField(field, TIME_EXPECTED, JSON.stringify(time), place)
}

/** Checks the bytes of a payload. @throws Problem 413 */
export function checkSize(
  length: number,
  field: string,
  limits: Pick<Limits, 'maxPayload'>,
  place: Place | undefined,
): void {
  const { maxPayload } = limits
  if (length <= maxPayload) return
  const detail = `${inPlace(field, place)}: expected at most ${maxPayload} bytes of payload, found ${length}`
  throw new Problem('too-large', detail, { field, ...place, expected: maxPayload, supplied: length })
}

/**
 * Checks the number of records in a batch. A caller may stop counting at the first record beyond the limit, and pass that count.
 * @throws Problem 400 when there is none, 413 when there are too many
 */
export function checkCount(
  count: number,
  unit: 'line' | 'record',
  { maxBatch }: Pick<Limits, 'maxBatch'>,
): void {
  if (count === 0) throw badField('body', `at least one ${unit}`, 'none')
  if (count <= maxBatch) return
  const detail = `body: expected at most ${maxBatch} ${unit}s, found ${count} or more`
  throw new Problem('too-large', detail, { field: 'body', expected: maxBatch, supplied: count })
}
