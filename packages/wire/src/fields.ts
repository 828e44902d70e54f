/** Parses single fields of a request's path, query and body, and makes the problem that names an invalid one. */
import { parseDecimal } from '@service-fs/tlog/math'

import { Problem } from './problem.ts'
import type { Query } from './request.ts'

class Parameters implements Query {
  readonly #values = new Map<string, string[]>()

  get(name: string): string | undefined {
    return this.#values.get(name)?.[0]
  }

  all(name: string): readonly string[] {
    return this.#values.get(name) ?? []
  }

  add(name: string, value: string): void {
    const values = this.#values.get(name)
    if (values === undefined) this.#values.set(name, [value])
    else values.push(value)
  }
}

const NO_QUERY: Query = new Parameters()

/** Decodes percent-encoded UTF-8 (RFC 3986 §2.1). @throws Problem `bad-request` that names `field` */
export function percentDecode(text: string, field: string): string {
  if (!text.includes('%')) return text
  try {
    return decodeURIComponent(text)
  } catch {
    throw badField(field, 'percent-encoded UTF-8', text)
  }
}

/**
 * Parses a query. Names in `lists` may be repeated.
 * @throws Problem `bad-request` for a name not in `known`, another repeated name, or bad percent-encoding
 */
export function parseQuery(query: string, known: readonly string[], lists: readonly string[] = []): Query {
  if (query === '') return NO_QUERY
  const result = new Parameters()
  for (const pair of query.split('&')) {
    if (pair === '') continue
    const equals = pair.indexOf('=')
    const name = percentDecode(equals < 0 ? pair : pair.slice(0, equals), 'query')
    if (!known.includes(name)) {
      throw badField(name, known.length === 0 ? 'no query parameters' : `one of ${known.join(', ')}`, name)
    }
    if (result.get(name) !== undefined && !lists.includes(name))
      throw badField(name, 'one value', 'two values')
    result.add(name, equals < 0 ? '' : percentDecode(pair.slice(equals + 1), name))
  }
  return result
}

/**
 * Parses the query parameter `name`, an integer from 0 to 2^53 - 1 in decimal without leading zeros. Returns `fallback` if it
 * is absent.
 * @throws Problem `bad-request` if it is invalid, or absent without a fallback
 */
export function integerParameter(query: Query, name: string, fallback?: number): number {
  const text = query.get(name)
  if (text === undefined) {
    if (fallback !== undefined) return fallback
    throw badField(name, INTEGER, 'nothing')
  }
  return integer(text, name)
}

/** Parses `text` as {@link integerParameter} does. `field` names it in the problem. */
export function integer(text: string, field: string): number {
  const value = parseDecimal(text)
  if (value === undefined) throw badField(field, INTEGER, text)
  return value
}

const INTEGER = 'a decimal integer from 0 to 9007199254740991'

/** Where a record is in the body of a batch, counted from 1: a line of NDJSON, or a framed record. */
export type Place = { readonly line: number } | { readonly record: number }

/** Returns the name of a field in a batch: `line 3: payload_id`. */
export function inPlace(field: string, place: Place | undefined): string {
  if (place === undefined) return field
  return 'line' in place ? `line ${place.line}: ${field}` : `record ${place.record}: ${field}`
}

/** Returns the problem `bad-request` for one field. Cuts `supplied`. */
export function badField(field: string, expected: string, supplied: string, place?: Place): Problem {
  const found = cut(supplied)
  return new Problem('bad-request', `${inPlace(field, place)}: expected ${expected}, found ${found}`, {
    field,
    ...place,
    expected,
    supplied: found,
  })
}

/** Cuts a text from a client at 100 characters, for a message. */
export function cut(text: string): string {
  return text.length > 100 ? `${text.slice(0, 100)}…` : text
}
