/** The arguments of tools, checked as the wire checks what it is sent: a 400 names the field. */
import { badField } from '@service-fs/wire/fields'
import { Refused } from './caller.ts'

/** A JSON Schema of an object, as far as tools use it. */
export interface InputSchema {
  readonly [keyword: string]: unknown
  readonly type: 'object'
  readonly properties: Record<string, object>
  readonly required?: string[]
  readonly additionalProperties: false
}

export function schema(properties: Record<string, object>, ...required: string[]): InputSchema {
  return {
    type: 'object',
    properties,
    additionalProperties: false,
    ...(required.length > 0 ? { required } : {}),
  }
}

export class Arguments {
  readonly values: Readonly<Record<string, unknown>>

  /** @throws Refused 400 for a name that the schema does not have, and one that it requires and that is not there */
  constructor(values: Readonly<Record<string, unknown>>, { properties, required = [] }: InputSchema) {
    const known = Object.keys(properties)
    for (const name of Object.keys(values))
      if (!known.includes(name)) throw refused(name, `one of ${known.join(', ') || 'no arguments'}`, name)
    for (const name of required) if (values[name] === undefined) throw refused(name, 'a value', 'nothing')
    this.values = values
  }

  /** A whole number from 0 to 2^53 − 1. @throws Refused 400 */
  integer(name: string): number | undefined {
    const value = this.values[name]
    if (value === undefined) return undefined
    if (typeof value === 'number' && Number.isSafeInteger(value) && value >= 0) return value
    throw refused(name, 'a whole number from 0 to 9007199254740991', describe(value))
  }

  /** @throws Refused 400 */
  text(name: string): string | undefined {
    const value = this.values[name]
    if (value === undefined || typeof value === 'string') return value
    throw refused(name, 'text', describe(value))
  }

  /** @throws Refused 400 */
  flag(name: string): boolean {
    const value = this.values[name] ?? false
    if (typeof value === 'boolean') return value
    throw refused(name, 'true or false', describe(value))
  }

  /** Exactly one of these is given: which. @throws Refused 400 */
  oneOf(...names: string[]): string {
    const given = names.filter((name) => this.values[name] !== undefined)
    const [only] = given
    if (only !== undefined && given.length === 1) return only
    throw refused(names[0] ?? '', `one of ${names.join(' and ')}`, given.length === 0 ? 'none' : 'both')
  }
}

export function refused(field: string, expected: string, found: string): Refused {
  return Refused.of(badField(field, expected, found))
}

function describe(value: unknown): string {
  return JSON.stringify(value)
}
