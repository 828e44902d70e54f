/** Single fields of a request, in its path, its query or its body: how they are read, and the problem that names one. */
import { parseDecimal } from '@service-fs/tlog/math'

import { Problem } from './problem.ts'
import type { Query } from './request.ts'

const NO_QUERY: Query = new Map()

/** Percent-decoding, RFC 3986 §2.1, of UTF-8 (strict). `field` names the part in the problem: 400 `bad-request`. */
export function percentDecode(text: string, field: string): string {
  if (!text.includes('%')) return text
  try {
    return decodeURIComponent(text)
  } catch {
    throw badField(field, 'percent-encoded UTF-8', text)
  }
}

/** The query as a map. Refused with 400: a name not in `known`, a name given twice, bad percent-encoding. */
export function parseQuery(query: string, known: readonly string[]): Query {
  if (query === '') return NO_QUERY
  const result = new Map<string, string>()
  for (const pair of query.split('&')) {
    if (pair === '') continue
    const equals = pair.indexOf('=')
    const name = percentDecode(equals < 0 ? pair : pair.slice(0, equals), 'query')
    if (!known.includes(name)) {
      throw badField(name, known.length === 0 ? 'no query parameters' : `one of ${known.join(', ')}`, name)
    }
    if (result.has(name)) throw badField(name, 'one value', 'two values')
    result.set(name, equals < 0 ? '' : percentDecode(pair.slice(equals + 1), name))
  }
  return result
}

/** A non-negative integer of at most 2^53-1 in strict decimal. Absent: `fallback`, or 400 when there is none. */
export function integerParameter(query: Query, name: string, fallback?: number): number {
  const text = query.get(name)
  if (text === undefined) {
    if (fallback !== undefined) return fallback
    throw badField(name, INTEGER, 'nothing')
  }
  return integer(text, name)
}

/** The same for a text that stands elsewhere, such as in the path. */
export function integer(text: string, field: string): number {
  const value = parseDecimal(text)
  if (value === undefined) throw badField(field, INTEGER, text)
  return value
}

const INTEGER = 'a decimal integer from 0 to 9007199254740991'

/** 400: what was wrong with one field; `supplied` is cut to a sensible length. */
export function badField(field: string, expected: string, supplied: string, line?: number): Problem {
  const where = line === undefined ? field : `line ${line}: ${field}`
  const found = cut(supplied)
  return new Problem('bad-request', `${where}: expected ${expected}, found ${found}`, {
    field,
    ...(line === undefined ? {} : { line }),
    expected,
    supplied: found,
  })
}

/** Text from a client, cut at 100 characters for a message. */
export function cut(text: string): string {
  return text.length > 100 ? `${text.slice(0, 100)}…` : text
}
