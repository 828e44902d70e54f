/** Finds the record types for which an operator declared the fields of a selection. */
import type { SearchField } from '@service-fs/format/json-fields'
import type { Selection } from '@service-fs/format/selection'
import { badField } from './fields.ts'
import { Problem } from './problem.ts'

/**
 * Returns the types for which every field of a selection is declared; undefined if the selection has no conditions on fields.
 * @throws Problem `bad-request` if there is no such type; `not-implemented` if the server examines no fields
 */
export function typesWithFields(
  { type, where }: Pick<Selection, 'type' | 'where'>,
  declared: readonly SearchField[] | undefined,
): ReadonlySet<string> | undefined {
  if (where === undefined) return undefined
  if (declared === undefined)
    throw new Problem(
      'not-implemented',
      'where: this server examines no fields: run service-fs search on its disk image or on an export',
    )
  const pointers = where.map(({ pointer }) => pointer)
  const has = (one: string, pointer: string): boolean =>
    declared.some((field) => field.type === one && field.pointer === pointer)
  const allowed = new Set(
    declared.map((field) => field.type).filter((one) => type === undefined || one === type),
  )
  const types = [...allowed].filter((one) => pointers.every((pointer) => has(one, pointer)))
  if (types.length > 0) return new Set(types)
  const unknown = pointers.find((pointer) => ![...allowed].some((one) => has(one, pointer)))
  throw badField('where', expected(declared, type), unknown ?? pointers.join(' and '))
}

function expected(declared: readonly SearchField[], type: string | undefined): string {
  const fields = declared.filter((field) => type === undefined || field.type === type)
  const ofType = type === undefined ? '' : ` of the type ${type}`
  if (fields.length === 0) return `nothing, because no field${ofType} is declared`
  const names = fields.map((field) => (type === undefined ? `${field.type}:${field.pointer}` : field.pointer))
  return `declared fields of one type (${names.join(', ')})`
}
