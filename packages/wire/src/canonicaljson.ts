/**
 * JSON that keeps its meaning: strict reading, and RFC 8785 (JCS) writing.
 *
 * A record is stored as the canonical text of the value that was read, so reading must not lose anything: duplicate names, numbers
 * whose text would have another value and lone surrogates are refused, not repaired.
 */
import { keepsValue, needsCare, numberText } from './numbers.ts'

/** Nesting deeper than this is refused. */
export const MAX_DEPTH = 128

/** How many values and names of members the JSON of a body may have. In QuickJS one takes up to 100 bytes and 4 µs. */
export const MAX_VALUES: number = 2 ** 19

/**
 * What is wrong with a JSON text or value; `at` is the character's position in the text, when there is one. `malformed`, or `too-many`
 * values.
 */
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

/** How many values and names are left to the texts that share it; each takes its own. */
export interface Allowance {
  values: number
}

const MARKS = [',', ':', '[', '{', '\n'] as const

/**
 * What the texts in a body, a line each, may have together; undefined where they can't have more than `max`, for want of commas,
 * colons and brackets.
 */
export function allowanceFor(body: string, max: number): Allowance | undefined {
  // The shortest value and what parts it from the next are two characters.
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
 * The value of a JSON text (RFC 8259, I-JSON restrictions of RFC 7493). With an allowance the values are counted before one of them
 * is made. Throws JsonError.
 */
export function parseJson(text: string, allowance?: Allowance): unknown {
  const plain = allowance === undefined ? parsePlain(text) : undefined
  if (plain !== undefined) return plain
  new Scanner(text, allowance).document()
  try {
    return JSON.parse(text)
  } catch {
    throw new JsonError('not a JSON text: a string holds a control character or a bad escape')
  }
}

/**
 * The value of a text that JSON.stringify gives back to the letter: nothing was lost in reading it, so it need not be scanned.
 * Undefined for any other text, which may be as good.
 */
function parsePlain(text: string): unknown {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    return undefined
  }
  // The shape first: an engine may have too little stack to write what it could read.
  const shape = shapeOf(value, 0)
  const isPlain =
    (shape === 'sorted' || shape === 'unsorted') && JSON.stringify(value) === text && !text.includes('\\ud')
  return isPlain ? value : undefined
}

/**
 * What an engine's JSON.stringify makes of a value: its canonical text (`sorted`), that but for the order of names (`unsorted`), perhaps
 * other numbers (`careful`), or nothing, for want of stack (`deep`).
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

/** The RFC 8785 canonical text of a value as JSON.parse makes it. Throws JsonError for a lone surrogate, a number that JSON has not, too deep nesting. */
export function canonicalJson(value: unknown): string {
  if (typeof value === 'object' && shapeOf(value, 0) === 'sorted') {
    // With its names in order and no number that needs care, JSON.stringify's text is the canonical one.
    const text = JSON.stringify(value)
    if (!text.includes('\\ud') && !text.includes('null')) return text
  }
  return write(value, 0)
}

/** The text of a string with its quotes, RFC 8785 §3.2.2.2. */
export function canonicalString(value: string): string {
  const text = JSON.stringify(value)
  if (text.includes('\\ud') && hasLoneSurrogate(value)) {
    throw new JsonError('a string holds a lone surrogate, which no UTF-8 text can hold')
  }
  return text
}

/** Whether a UTF-16 code unit of a surrogate pair stands without the other. */
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
      if (!Number.isFinite(value)) throw new JsonError('a number is not finite')
      return numberText(value)
    case 'boolean':
      return value ? 'true' : 'false'
    case 'object':
      if (value === null) return 'null'
      if (depth === MAX_DEPTH) throw new JsonError(`nested deeper than ${MAX_DEPTH} levels`)
      return Array.isArray(value) ? writeArray(value, depth) : writeObject({ ...value }, depth)
    default:
      throw new JsonError(`no JSON value: ${typeof value}`)
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
  // The default order of sort() is by UTF-16 code units, as RFC 8785 §3.2.3 has it.
  const names = Object.keys(value).sort()
  let text = '{'
  for (const name of names) {
    if (text.length > 1) text += ','
    text += `${canonicalString(name)}:${write(value[name], depth + 1)}`
  }
  return `${text}}`
}

// An engine may keep a place to go back to for each character that a repetition takes: none takes more than some.
const SPACE = /[ \t\n\r]{1,1024}/y
const NUMBER = /-?(?:0|[1-9][0-9]{0,1023})(?:\.[0-9]{1,1024})?(?:[eE][+-]?[0-9]{1,1024})?/y

/** Walks a JSON text for what JSON.parse lets pass. Inside of strings it looks for the end only: JSON.parse checks the rest. */
class Scanner {
  private readonly text: string
  /** The text with other characters for escaped quotes: a string ends at the next quote. */
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
    if (this.at < this.text.length) throw this.unexpected('the end of the text')
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
      if (this.text.charCodeAt(start) !== QUOTE) throw this.unexpected('a name in quotes')
      this.count()
      this.string()
      const plain = this.text.slice(start + 1, this.at - 1)
      const name = plain.includes('\\') ? this.unescape(start) : plain
      if (names.has(name))
        throw new JsonError(`the name ${JSON.stringify(name)} stands twice in one object`, start)
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

  /** Past the closing quote. */
  private string(): void {
    const end = this.masked.indexOf('"', this.at + 1)
    if (end < 0) throw new JsonError('a string does not end', this.at)
    this.at = end + 1
  }

  private count(): void {
    if (this.allowance === undefined || --this.allowance.values >= 0) return
    throw new JsonError('more values and names than may be in a body', this.at, 'too-many')
  }

  private unescape(start: number): string {
    try {
      return String(JSON.parse(this.text.slice(start, this.at)))
    } catch {
      throw new JsonError('a name holds a control character or a bad escape', start)
    }
  }

  private number(): void {
    NUMBER.lastIndex = this.at
    const match = NUMBER.exec(this.text)
    if (match === null) throw this.unexpected('a number')
    const literal = match[0]
    const next = this.text.charCodeAt(this.at + literal.length)
    if (next >= DIGIT_0 && next <= DIGIT_9 && literal.length >= 1024)
      throw new JsonError('a number of more than 1,024 digits: send it as a string', this.at)
    const value = Number(literal)
    if (!keepsValue(literal, value)) throw this.unkept(literal, value)
    this.at += literal.length
  }

  private unkept(literal: string, value: number): JsonError {
    const kept = Number.isFinite(value) ? `would be stored as ${numberText(value)}` : 'is beyond a double'
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
    const found = this.at < this.text.length ? JSON.stringify(this.text[this.at]) : 'the end of the text'
    return new JsonError(`not a JSON text: expected ${wanted}, found ${found}`, this.at)
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
