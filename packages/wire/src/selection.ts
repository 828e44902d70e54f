/** Parses the selection of a request from its query or body, and formats it for the audit entry. */
import { conditionText } from '@service-fs/format/json-fields'
import { Selection, SelectionError, type SelectionFields } from '@service-fs/format/selection'
import type { Codec } from '@service-fs/tlog/codec'

import type { Shown } from './call.ts'
import { badField } from './fields.ts'
import type { Query } from './request.ts'

/** The conditions that are one text. */
const TEXTS = ['from', 'to', 'type', 'prefix'] as const
const MEMBERS = [...TEXTS, 'where'].join(', ')

type Conditions = { -readonly [Name in keyof SelectionFields]: SelectionFields[Name] }

/** Returns the selection that query parameters name. @throws Problem `bad-request` that names the parameter */
export function selectionInQuery(query: Query, codec: Codec): Selection {
  const fields: Conditions = { where: query.all('where') }
  for (const name of TEXTS) {
    const value = query.get(name)
    if (value !== undefined) fields[name] = value
  }
  return checked(fields, codec)
}

/** Returns the selection that a JSON object names. It may have no other members. @throws Problem `bad-request` that names the member */
export function selectionInBody(value: unknown, codec: Codec): Selection {
  if (typeof value !== 'object' || value === null) throw badField('body', 'a JSON object', kindOf(value))
  const fields: Conditions = {}
  for (const [name, member] of Object.entries(value)) {
    const text = TEXTS.find((condition) => condition === name)
    if (text !== undefined) fields[text] = textIn(name, member)
    else if (name === 'where') fields.where = textsIn(name, member)
    else throw badField(name, `only ${MEMBERS}`, 'another member')
  }
  return checked(fields, codec)
}

function textIn(name: string, member: unknown): string {
  if (typeof member === 'string') return member
  throw badField(name, 'text', kindOf(member))
}

function textsIn(name: string, member: unknown): string[] {
  if (!Array.isArray(member)) throw badField(name, 'a list of texts', kindOf(member))
  return member.map((text: unknown) => textIn(name, text))
}

/** Returns the members of the audit entry, in which `from` and `to` are tree sizes of a consistency proof and so cannot name times. */
export function conditionsShown({ from, to, type, prefix, where }: Selection): Shown['what'] {
  return {
    ...(from === undefined ? {} : { time_from: from }),
    ...(to === undefined ? {} : { time_to: to }),
    ...(type === undefined ? {} : { type }),
    ...(prefix === undefined ? {} : { prefix }),
    ...(where === undefined ? {} : { where: where.map(conditionText) }),
  }
}

function kindOf(value: unknown): string {
  return value === null ? 'null' : Array.isArray(value) ? 'array' : typeof value
}

function checked(fields: SelectionFields, codec: Codec): Selection {
  try {
    return new Selection(fields, codec)
  } catch (error) {
    if (error instanceof SelectionError) throw badField(error.field, error.expected, error.found)
    throw error
  }
}
