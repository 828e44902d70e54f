/** The selection of a request, from its query or its body, and as its audit entry has it. */
import { Selection, SelectionError } from '@service-fs/format/selection'
import type { Codec } from '@service-fs/tlog/codec'

import { badField } from './fields.ts'

const CONDITIONS = ['from', 'to', 'type', 'prefix'] as const

/** Returns the selection that query parameters name. @throws Problem `bad-request` that names the parameter */
export function selectionInQuery(query: ReadonlyMap<string, string>, codec: Codec): Selection {
  const fields: Record<string, string> = {}
  for (const name of CONDITIONS) {
    const value = query.get(name)
    if (value !== undefined) fields[name] = value
  }
  return checked(fields, codec)
}

/** Returns the selection that a JSON object names. It may have no other members. @throws Problem `bad-request` that names the member */
export function selectionInBody(value: unknown, codec: Codec): Selection {
  if (typeof value !== 'object' || value === null) throw badField('body', 'a JSON object', kindOf(value))
  const fields: Record<string, string> = {}
  for (const [name, member] of Object.entries(value)) {
    if (!CONDITIONS.some((condition) => condition === name))
      throw badField(name, `only ${CONDITIONS.join(', ')}`, 'another member')
    if (typeof member !== 'string') throw badField(name, 'text', kindOf(member))
    fields[name] = member
  }
  return checked(fields, codec)
}

/** Returns the members of the audit entry. `from` and `to` would be the tree sizes of a consistency proof. */
export function conditionsShown({ from, to, type, prefix }: Selection): Record<string, string> {
  return {
    ...(from === undefined ? {} : { time_from: from }),
    ...(to === undefined ? {} : { time_to: to }),
    ...(type === undefined ? {} : { type }),
    ...(prefix === undefined ? {} : { prefix }),
  }
}

function kindOf(value: unknown): string {
  return value === null ? 'null' : Array.isArray(value) ? 'array' : typeof value
}

function checked(fields: Readonly<Record<string, string>>, codec: Codec): Selection {
  try {
    return new Selection(fields, codec)
  } catch (error) {
    if (error instanceof SelectionError) throw badField(error.field, error.expected, error.found)
    throw error
  }
}
