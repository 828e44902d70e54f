/** Fields of JSON payloads: JSON pointers (RFC 6901), and conditions on the values that they point at. */
import type { Codec } from '@service-fs/tlog/codec'

/** Characters of the longest pointer. */
export const MAX_POINTER = 256
/** Characters of the longest text that a condition compares. */
export const MAX_FIELD_TEXT = 1024
/** Bytes of the longest payload whose fields are examined. */
export const MAX_JSON_BYTES: number = 2 ** 20

/** A field of the records of one type. */
export interface SearchField {
  readonly type: string
  readonly pointer: string
}

/**
 * Requires that the value at `pointer` has the text `text`. The text of a string is the string itself; the text of a number is its RFC 8785
 * form.
 */
export interface FieldCondition {
  readonly pointer: string
  readonly text: string
}

const ESCAPE = /~[01]/g
const BAD_ESCAPE = /~(?![01])/
const INDEX = /^(?:0|[1-9]\d{0,9})$/
const SURROGATE = /\p{Surrogate}/u

/** Returns the expected form of an invalid pointer; undefined if the pointer is valid. Its names cannot contain `=`. */
export function pointerProblem(pointer: string): string | undefined {
  if (!pointer.startsWith('/')) return 'a JSON pointer, which starts with /'
  if (pointer.length > MAX_POINTER) return `a JSON pointer of at most ${MAX_POINTER} characters`
  if (BAD_ESCAPE.test(pointer)) return 'a JSON pointer, in which ~ is written as ~0 and a / in a name as ~1'
  if (pointer.includes('=')) return 'a JSON pointer without ='
  if (SURROGATE.test(pointer)) return 'a JSON pointer of well-formed Unicode'
  return undefined
}

/** Parses a condition: a pointer, `=`, and a text. For an invalid condition, returns the expected form. */
export function parseCondition(text: string): FieldCondition | string {
  const equals = text.indexOf('=')
  if (equals < 0) return 'a JSON pointer, = and a value, such as /customer/id=4711'
  const condition = { pointer: text.slice(0, equals), text: text.slice(equals + 1) }
  const problem = pointerProblem(condition.pointer)
  if (problem !== undefined) return problem
  if (condition.text.length > MAX_FIELD_TEXT) return `a value of at most ${MAX_FIELD_TEXT} characters`
  if (SURROGATE.test(condition.text)) return 'a value of well-formed Unicode'
  return condition
}

/** Returns the text that {@link parseCondition} parses. */
export function conditionText({ pointer, text }: FieldCondition): string {
  return `${pointer}=${text}`
}

/** A pointer, ready to be applied to values. */
export class Pointer {
  readonly #names: readonly string[]

  /** `pointer` must be valid. */
  constructor(pointer: string) {
    this.#names = pointer
      .slice(1)
      .split('/')
      .map((name) => name.replaceAll(ESCAPE, (escape) => (escape === '~1' ? '/' : '~')))
  }

  /**
   * Returns the text of the value that the pointer points at: a string itself, a number as RFC 8785 writes it, or `true`, `false` or `null`.
   * Returns undefined if there is no value, or an array or an object.
   */
  textAt(document: unknown): string | undefined {
    let value = document
    for (const name of this.#names) {
      if (typeof value !== 'object' || value === null) return undefined
      if (Array.isArray(value) ? !INDEX.test(name) : !Object.hasOwn(value, name)) return undefined
      value = (value as Readonly<Record<string, unknown>>)[name]
    }
    return textOf(value)
  }
}

function textOf(value: unknown): string | undefined {
  if (typeof value === 'string') return value
  // A compiled engine writes numbers as RFC 8785 does.
  if (typeof value === 'number' || typeof value === 'boolean' || value === null) return String(value)
  return undefined
}

/** Returns the value of a payload. Returns undefined if it is not JSON in UTF-8, or longer than {@link MAX_JSON_BYTES}. */
export function jsonOf(payload: Uint8Array, codec: Codec): unknown {
  if (payload.length > MAX_JSON_BYTES) return undefined
  try {
    return JSON.parse(codec.utf8Decode(payload))
  } catch {
    return undefined
  }
}

/** Returns a function that reports whether a payload meets every condition. */
export function payloadTest(
  conditions: readonly FieldCondition[],
  codec: Codec,
): (payload: Uint8Array) => boolean {
  const tests = conditions.map(({ pointer, text }) => ({ pointer: new Pointer(pointer), text }))
  return (payload) => {
    const document = jsonOf(payload, codec)
    return tests.every(({ pointer, text }) => pointer.textAt(document) === text)
  }
}
