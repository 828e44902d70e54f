/**
 * Strict JSON parsing, and RFC 8785 (JCS) canonical JSON.
 *
 * The ledger stores the canonical text of the parsed value, so parsing must lose nothing: it rejects duplicate names, lone
 * surrogates, and numbers whose canonical text has another value.
 */
import { keepsValue, needsCare, numberText } from './numbers.ts'

/** The deepest nesting that is accepted. */
export const MAX_DEPTH = 128

/** The most values and member names that a JSON body may have. In QuickJS each takes up to 100 bytes and 4 µs. */
export const MAX_VALUES: number = 2 ** 19

/** An invalid JSON text or value. `at` is the position of a character in the text, from 0, when there is one. */
export class JsonError extends Error {
  readonly code: 'malformed' | 'too-many'
  readonly at: number | undefined
  constructor(message: string, at?: number, code: JsonError['code'] = 'malformed') {
    super(at === undefined ? message : `${message} at character ${at}`)
    this.name = 'JsonError'
    this.code = code
    this.at = at
  }
}

/** The values and names that the texts of one body may still have. Parsing a text decrements it. */
export interface Allowance {
  values: number
}

const MARKS = [',', ':', '[', '{', '\n'] as const

/**
 * Returns the allowance of a body, which has one or more lines of JSON. Returns undefined if the body has too few commas, colons
 * and brackets for more than `max` values and names; no counting is needed then.
 */
export function allowanceFor(body: string, max: number): Allowance | undefined {
  // The shortest value and its separator are two characters.
  if (body.length < 2 * max) return undefined
  let left = max
  for (const mark of MARKS) {
    for (let at = body.indexOf(mark); at >= 0; at = body.indexOf(mark, at + 1)) {
      if (--left === 0) return { values: max }
    }
  }
  return undefined
}

/**
 * Parses a JSON text (RFC 8259, with the I-JSON restrictions of RFC 7493). With an allowance it counts all values before it
 * creates any.
 * @throws JsonError
 */
export function parseJson(text: string, allowance?: Allowance): unknown {
  if (allowance !== undefined) new Scanner(text, allowance).document()
  // A sparse text has been scanned already.
  else if (!isSparse(text)) {
    const plain = parsePlain(text)
    if (plain !== undefined) return plain
    new Scanner(text, undefined).document()
  }
  try {
    return JSON.parse(text)
  } catch {
    throw new JsonError('invalid JSON: control character or bad escape in a string')
  }
}

/** From this many characters on, writing a value again to compare it takes much of a small engine's memory. */
const LONG_TEXT = 2 ** 20
/** The scanner is fast for at most this many values and names. */
const FEW_VALUES = 1000

/** Reports whether a long text has few values and names, no escapes, and no error that the scanner finds. */
function isSparse(text: string): boolean {
  if (text.length < LONG_TEXT || text.includes('\\')) return false
  try {
    new Scanner(text, { values: FEW_VALUES }).document()
    return true
  } catch {
    return false
  }
}

/**
 * Parses a text that JSON.stringify reproduces exactly, so parsing lost nothing and no scan is needed. Returns undefined for any
 * other text, valid or not.
 */
function parsePlain(text: string): unknown {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    return undefined
  }
  // Check the shape first: an engine may have too little stack to write a value that it could parse.
  const shape = shapeOf(value, 0)
  const isPlain =
    (shape === 'sorted' || shape === 'unsorted') && JSON.stringify(value) === text && !text.includes('\\ud')
  return isPlain ? value : undefined
}

/**
 * How the output of JSON.stringify relates to the canonical text of a value: it is the same (`sorted`), has names in another order
 * (`unsorted`), may have different numbers (`careful`), or may fail because the stack is too small (`deep`).
 */
type Shape = 'sorted' | 'unsorted' | 'careful' | 'deep'

const SHAPES: readonly Shape[] = ['sorted', 'unsorted', 'careful', 'deep']

function shapeOf(value: unknown, depth: number): Shape {
  if (typeof value === 'number') return needsCare(value) ? 'careful' : 'sorted'
  if (typeof value !== 'object' || value === null) return 'sorted'
  if (depth === MAX_DEPTH) return 'deep'
  let shape: Shape = 'sorted'
  if (Array.isArray(value)) {
    for (let i = 0; i < value.length; i++) {
      const found = shapeOf(value[i], depth + 1)
      if (found !== 'sorted') shape = worse(shape, found)
    }
    return shape
  }
  const members = value as Readonly<Record<string, unknown>>
  let last = ''
  for (const name of Object.keys(members)) {
    // RFC 8785 §3.2.3
    if (name < last) shape = worse(shape, 'unsorted')
    last = name
    const found = shapeOf(members[name], depth + 1)
    if (found !== 'sorted') shape = worse(shape, found)
  }
  return shape
}

function worse(a: Shape, b: Shape): Shape {
  return SHAPES.indexOf(a) > SHAPES.indexOf(b) ? a : b
}

/**
 * Returns the RFC 8785 canonical text of a value as JSON.parse creates it.
 * @throws JsonError for a lone surrogate, a number that is not finite, a value that JSON does not have, or too deep nesting
 */
export function canonicalJson(value: unknown): string {
  if (typeof value === 'object' && shapeOf(value, 0) === 'sorted') {
    // With sorted names and without special numbers, JSON.stringify writes the canonical text.
    const text = JSON.stringify(value)
    if (!text.includes('\\ud') && !text.includes('null')) return text
  }
  return write(value, 0)
}

/** Returns the canonical text of a string, quotes included (RFC 8785 §3.2.2.2). @throws JsonError for a lone surrogate */
export function canonicalString(value: string): string {
  const text = JSON.stringify(value)
  if (text.includes('\\ud') && hasLoneSurrogate(value)) {
    throw new JsonError('lone surrogate in a string: UTF-8 cannot encode it')
  }
  return text
}

/** Reports whether `text` has an unpaired UTF-16 surrogate. */
export function hasLoneSurrogate(text: string): boolean {
  for (let i = 0; i < text.length; i++) {
    const unit = text.charCodeAt(i)
    if (unit < 0xd800 || unit > 0xdfff) continue
    const next = text.charCodeAt(i + 1)
    if (unit > 0xdbff || !(next >= 0xdc00 && next <= 0xdfff)) return true
    i++
  }
  return false
}

function write(value: unknown, depth: number): string {
  switch (typeof value) {
    case 'string':
      return canonicalString(value)
    case 'number':
      if (!Number.isFinite(value)) throw new JsonError('number is not finite')
      return numberText(value)
    case 'boolean':
      return value ? 'true' : 'false'
    case 'object':
      if (value === null) return 'null'
      if (depth === MAX_DEPTH) throw new JsonError(`nested deeper than ${MAX_DEPTH} levels`)
      return Array.isArray(value) ? writeArray(value, depth) : writeObject({ ...value }, depth)
    default:
      throw new JsonError(`expected a JSON value, found ${typeof value}`)
  }
}

function writeArray(value: readonly unknown[], depth: number): string {
  let text = '['
  for (let i = 0; i < value.length; i++) {
    if (i > 0) text += ','
    text += write(value[i], depth + 1)
  }
  return `${text}]`
}

function writeObject(value: Readonly<Record<string, unknown>>, depth: number): string {
  // RFC 8785 §3.2.3 sorts by UTF-16 code units, as sort() does by default.
  const names = Object.keys(value).sort()
  let text = '{'
  for (const name of names) {
    if (text.length > 1) text += ','
    text += `${canonicalString(name)}:${write(value[name], depth + 1)}`
  }
  return `${text}}`
}

// An engine may keep one backtracking point for each repetition, so repetitions are bounded.
const SPACE = /[ \t\n\r]{1,1024}/y
const NUMBER = /-?(?:0|[1-9][0-9]{0,1023})(?:\.[0-9]{1,1024})?(?:[eE][+-]?[0-9]{1,1024})?/y

/**
 * Rejects JSON texts that JSON.parse accepts: duplicate names, numbers that would change, and too many values. It does not examine
 * the content of strings; JSON.parse does.
 */
class Scanner {
  private readonly text: string
  /** The text with escaped quotes replaced, so that a string ends at the next quote. */
  private readonly masked: string
  private readonly allowance: Allowance | undefined
  private at = 0

  constructor(text: string, allowance: Allowance | undefined) {
    this.text = text
    this.masked = text.includes('\\') ? text.replaceAll('\\\\', '..').replaceAll('\\"', '..') : text
    this.allowance = allowance
  }

  document(): void {
    this.value(0)
    this.space()
    if (this.at < this.text.length) throw this.unexpected('end of text')
  }

  private value(depth: number): void {
    this.count()
    this.space()
    const unit = this.text.charCodeAt(this.at)
    if (unit === QUOTE) this.string()
    else if (unit === OPEN_OBJECT) this.object(depth)
    else if (unit === OPEN_ARRAY) this.array(depth)
    else if (unit === MINUS || (unit >= DIGIT_0 && unit <= DIGIT_9)) this.number()
    else this.literal()
  }

  private object(depth: number): void {
    this.deeper(depth)
    this.space()
    if (this.take(CLOSE_OBJECT)) return
    const names = new Set<string>()
    for (;;) {
      this.space()
      const start = this.at
      if (this.text.charCodeAt(start) !== QUOTE) throw this.unexpected('a quoted name')
      this.count()
      this.string()
      const plain = this.text.slice(start + 1, this.at - 1)
      const name = plain.includes('\\') ? this.unescape(start) : plain
      if (names.has(name)) throw new JsonError(`duplicate name ${JSON.stringify(name)} in an object`, start)
      names.add(name)
      this.space()
      if (!this.take(COLON)) throw this.unexpected("':'")
      this.value(depth + 1)
      this.space()
      if (this.take(COMMA)) continue
      if (this.take(CLOSE_OBJECT)) return
      throw this.unexpected("',' or '}'")
    }
  }

  private array(depth: number): void {
    this.deeper(depth)
    this.space()
    if (this.take(CLOSE_ARRAY)) return
    for (;;) {
      this.value(depth + 1)
      this.space()
      if (this.take(COMMA)) continue
      if (this.take(CLOSE_ARRAY)) return
      throw this.unexpected("',' or ']'")
    }
  }

  private deeper(depth: number): void {
    if (depth === MAX_DEPTH) throw new JsonError(`nested deeper than ${MAX_DEPTH} levels`, this.at)
    this.at++
  }

  /** Moves past the closing quote. */
  private string(): void {
    const end = this.masked.indexOf('"', this.at + 1)
    if (end < 0) throw new JsonError('unterminated string', this.at)
    this.at = end + 1
  }

  private count(): void {
    if (this.allowance === undefined || --this.allowance.values >= 0) return
    throw new JsonError('too many values and names', this.at, 'too-many')
  }

  private unescape(start: number): string {
    try {
      return String(JSON.parse(this.text.slice(start, this.at)))
    } catch {
      throw new JsonError('control character or bad escape in a name', start)
    }
  }

  private number(): void {
    NUMBER.lastIndex = this.at
    const match = NUMBER.exec(this.text)
    if (match === null) throw this.unexpected('a number')
    const literal = match[0]
    const next = this.text.charCodeAt(this.at + literal.length)
    if (next >= DIGIT_0 && next <= DIGIT_9 && literal.length >= 1024)
      throw new JsonError('number of more than 1,024 digits: send it as a string', this.at)
    const value = Number(literal)
    if (!keepsValue(literal, value)) throw this.unkept(literal, value)
    this.at += literal.length
  }

  private unkept(literal: string, value: number): JsonError {
    const kept = Number.isFinite(value) ? `would be stored as ${numberText(value)}` : 'does not fit a double'
    const shown = literal.length > 40 ? `${literal.slice(0, 40)}…` : literal
    return new JsonError(`the number ${shown} ${kept} (RFC 8785): send it as a string`, this.at)
  }

  private literal(): void {
    for (const word of ['true', 'false', 'null']) {
      if (!this.text.startsWith(word, this.at)) continue
      this.at += word.length
      return
    }
    throw this.unexpected('a value')
  }

  private space(): void {
    while (this.text.charCodeAt(this.at) <= SPACE_CHARACTER) {
      SPACE.lastIndex = this.at
      if (!SPACE.test(this.text)) return
      this.at = SPACE.lastIndex
    }
  }

  private take(unit: number): boolean {
    if (this.text.charCodeAt(this.at) !== unit) return false
    this.at++
    return true
  }

  private unexpected(wanted: string): JsonError {
    const found = this.at < this.text.length ? JSON.stringify(this.text[this.at]) : 'end of text'
    return new JsonError(`invalid JSON: expected ${wanted}, found ${found}`, this.at)
  }
}

const SPACE_CHARACTER = 0x20
const QUOTE = 0x22
const COMMA = 0x2c
const MINUS = 0x2d
const DIGIT_0 = 0x30
const DIGIT_9 = 0x39
const COLON = 0x3a
const OPEN_ARRAY = 0x5b
const CLOSE_ARRAY = 0x5d
const OPEN_OBJECT = 0x7b
const CLOSE_OBJECT = 0x7d
