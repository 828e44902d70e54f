/**
 * The arguments of tools, as zod schemas. Invalid arguments are refused like invalid requests, with a 400 that names the field.
 */
import { badField } from '@service-fs/wire/fields'
import * as z from 'zod/v4'
import { Refused } from './caller.ts'

/** Describes an argument in the JSON Schema that clients see. The wire checks these bounds. */
export interface Description {
  readonly description?: string
  readonly minimum?: number
  readonly maximum?: number
}

/** An optional integer from 0 to 2^53 − 1. */
export function integer(described: Description): z.ZodOptional<z.ZodInt> {
  const wanted = z.int('a whole number from 0 to 9007199254740991')
  return wanted
    .min(0, 'a whole number from 0 to 9007199254740991')
    .meta({ ...described })
    .optional()
}

/** An optional string. */
export function text(description: string): z.ZodOptional<z.ZodString> {
  return z.string('text').meta({ description }).optional()
}

/** An optional list of strings. */
export function texts(description: string): z.ZodOptional<z.ZodArray<z.ZodString>> {
  return z.array(z.string('a list of texts'), 'a list of texts').meta({ description }).optional()
}

/** An optional boolean, false by default. */
export function flag(description: string): z.ZodOptional<z.ZodBoolean> {
  return z.boolean('true or false').meta({ description }).optional()
}

/** An optional JSON value of any kind. */
export function json(description: string): z.ZodOptional<z.ZodUnknown> {
  return z.unknown().meta({ description }).optional()
}

/** The JSON Schema of a tool's arguments. */
export interface InputSchema {
  readonly [keyword: string]: unknown
  readonly type: 'object'
}

export function jsonSchemaOf(schema: z.ZodObject): InputSchema {
  const { $schema: _, ...rest } = z.toJSONSchema(schema, { io: 'input' })
  return rest as InputSchema
}

/** Returns the arguments that a client sent, checked. @throws Refused 400 */
export function parseArguments<S extends z.ZodObject>(
  schema: S,
  values: Readonly<Record<string, unknown>>,
): z.output<S> {
  const result = schema.safeParse(values)
  if (result.success) return result.data
  const { issues } = result.error
  const unknown = issues.find((issue) => issue.code === 'unrecognized_keys')
  const known = Object.keys(schema.shape).join(', ') || 'no arguments'
  if (unknown !== undefined) throw refused(unknown.keys[0] ?? '', `one of ${known}`, unknown.keys[0] ?? '')
  const [issue] = issues
  const name = String(issue?.path[0] ?? '')
  if (values[name] === undefined) throw refused(name, 'a value', 'nothing')
  throw refused(name, issue?.message ?? 'another value', JSON.stringify(values[name]))
}

/**
 * Returns the name of the argument that is given, `first` or `second`. @throws Refused 400 if both or neither are given
 */
export function oneOf<K extends string>(
  given: Readonly<Partial<Record<K, unknown>>>,
  first: K,
  second: K,
): K {
  const isFirst = given[first] !== undefined
  if (isFirst !== (given[second] !== undefined)) return isFirst ? first : second
  throw refused(first, `one of ${first} and ${second}`, isFirst ? 'both' : 'none')
}

/** Returns a 400 `bad-request` for one argument. */
export function refused(field: string, expected: string, found: string): Refused {
  return Refused.of(badField(field, expected, found))
}
