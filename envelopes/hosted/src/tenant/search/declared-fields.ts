/** The fields that an operator declares for searches, as text: `application/json:/customer/id`. */
import { typeProblem } from '@service-fs/format/entry'
import { pointerProblem, type SearchField } from '@service-fs/format/json-fields'

/** The most fields that can be declared. Each takes up to 400 KB of memory while a segment of the search index is made. */
export const MAX_SEARCH_FIELDS = 16

/** Returns the text of a field. */
export function fieldText({ type, pointer }: SearchField): string {
  return `${type}:${pointer}`
}

/** Parses the text of a field. For an invalid text, returns what was expected. */
export function parseField(text: string): SearchField | string {
  const colon = text.indexOf(':/')
  if (colon < 0) return 'a type, a colon and a JSON pointer, such as application/json:/customer/id'
  const field = { type: text.slice(0, colon), pointer: text.slice(colon + 1) }
  const problem = fieldProblem(field)
  return problem ?? field
}

/** Returns what was expected if a field is invalid; undefined if it is valid. */
export function fieldProblem({ type, pointer }: SearchField): string | undefined {
  const problem = typeProblem(type)
  if (problem !== undefined) return `a media type before the colon: ${problem}`
  if (type.includes(':/')) return 'a media type without :/'
  return pointerProblem(pointer)
}
