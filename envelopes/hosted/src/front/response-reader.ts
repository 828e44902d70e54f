/**
 * Reads the responses of a tenant's process from its connection. The front and the process must agree where a response ends, so the
 * reader accepts only HTTP/1.1 as a process sends it (RFC 9112), and rejects everything ambiguous.
 */
import { answerField, type AnswerField } from './fields.ts'

export interface ResponseHead {
  readonly status: number
  readonly fields: readonly AnswerField[]
  /** The length of the body, `chunked`, or undefined if the head names none. A response to HEAD has no body, whatever the length. */
  readonly length: number | 'chunked' | undefined
}

/** Receives the parts of a response. */
export interface ResponseParts {
  head(head: ResponseHead): void
  /** Takes bytes of the body, which are valid only during the call. `isLast`: `end` follows. */
  data(bytes: Buffer, isLast: boolean): void
  end(): void
}

export class MalformedResponse extends Error {}

/** The maximum length of a head in bytes, and of the line before a chunk. */
const MAX_HEAD = 16 * 1024
const MAX_LINE = 16

const CRLF = '\r\n'
const HEAD_END = '\r\n\r\n'
const STATUS_LINE = /^HTTP\/1\.1 ([1-9]\d\d) [\t\x20-\x7e\x80-\xff]*$/
const NAME = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/
const VALUE = /^[\t\x20-\x7e\x80-\xff]*$/
const LENGTH = /^\d{1,15}$/
const CHUNK_SIZE = /^[0-9A-Fa-f]{1,8}$/

/** The part of the response that comes next: the head, a body of known length, or a part of a chunked body. */
type State = 'head' | 'length' | 'chunk line' | 'chunk' | 'chunk end' | 'last line'

export class ResponseReader {
  #parts: ResponseParts | undefined
  #isHead = false
  #state: State = 'head'
  /** The beginning of a head or line that is not complete. */
  #held: Buffer | undefined
  /** Bytes of the body or of the chunk that have not arrived. */
  #missing = 0
  #closes = false
  /** The field lines of the latest response, because a process repeats most of them. */
  #lines = NO_LINES

  /** Whether the process closes the connection after the latest response. */
  get closes(): boolean {
    return this.#closes
  }

  /** Expects a response. `isHead`: the response answers a HEAD request and has no body. */
  begin(parts: ResponseParts, isHead: boolean): void {
    this.#parts = parts
    this.#isHead = isHead
    this.#state = 'head'
  }

  /** Forgets the response. The connection cannot be used again. */
  stop(): void {
    this.#parts = undefined
  }

  /** Takes the next bytes of the connection. @throws MalformedResponse */
  take(bytes: Buffer): void {
    const parts = this.#parts
    if (parts === undefined) throw new MalformedResponse('bytes that answer no request')
    let rest = bytes
    // When the response has ended, its receiver may already have sent the next request.
    while (rest.length > 0 && this.#parts === parts) rest = this.#step(parts, rest)
    if (rest.length > 0) throw new MalformedResponse('bytes after the response')
  }

  #step(parts: ResponseParts, bytes: Buffer): Buffer {
    switch (this.#state) {
      case 'head':
        return this.#takeHead(parts, bytes)
      case 'length':
      case 'chunk':
        return this.#takeData(parts, bytes)
      default:
        return this.#takeLine(parts, bytes)
    }
  }

  #takeHead(parts: ResponseParts, bytes: Buffer): Buffer {
    const [text, rest] = this.#until(HEAD_END, MAX_HEAD, bytes)
    if (text === undefined) return rest
    const [line = '', ...lines] = text.split(CRLF)
    this.#lines = parseLines(lines, this.#lines)
    const head = headOf(line, this.#lines.fields)
    this.#closes = head.closes
    if (head.status < 200) {
      if (head.status === 101) throw new MalformedResponse('101 without a request for it')
      return rest
    }
    const hasBody = !this.#isHead && head.status !== 204 && head.status !== 304
    if (hasBody && head.length === undefined)
      throw new MalformedResponse('expected Content-Length or Transfer-Encoding, found neither')
    parts.head(head)
    if (this.#parts === undefined) return NOTHING
    this.#missing = hasBody && typeof head.length === 'number' ? head.length : 0
    if (hasBody && head.length === 'chunked') this.#state = 'chunk line'
    else if (this.#missing > 0) this.#state = 'length'
    else this.#end(parts)
    return rest
  }

  #takeData(parts: ResponseParts, bytes: Buffer): Buffer {
    const length = Math.min(bytes.length, this.#missing)
    this.#missing -= length
    const isLast = this.#missing === 0 && this.#state === 'length'
    if (this.#missing === 0 && this.#state === 'chunk') this.#state = 'chunk end'
    parts.data(length === bytes.length ? bytes : bytes.subarray(0, length), isLast)
    if (this.#parts === undefined) return NOTHING
    if (isLast) this.#end(parts)
    return bytes.subarray(length)
  }

  /** Takes the line before a chunk, the end of a chunk, or the empty line after the last chunk. */
  #takeLine(parts: ResponseParts, bytes: Buffer): Buffer {
    const [line, rest] = this.#until(CRLF, MAX_LINE, bytes)
    if (line === undefined) return rest
    if (this.#state === 'chunk line') {
      if (!CHUNK_SIZE.test(line)) throw new MalformedResponse('a chunk: expected its size in hexadecimal')
      this.#missing = Number.parseInt(line, 16)
      this.#state = this.#missing === 0 ? 'last line' : 'chunk'
      return rest
    }
    // A process sends no trailer fields.
    if (line !== '') throw new MalformedResponse('a chunk: expected CRLF after it')
    if (this.#state === 'chunk end') this.#state = 'chunk line'
    else this.#end(parts)
    return rest
  }

  /** Returns the text before `mark` and the bytes after it; keeps the bytes when the mark has not arrived. */
  #until(mark: string, most: number, bytes: Buffer): [string | undefined, Buffer] {
    const all = this.#held === undefined ? bytes : Buffer.concat([this.#held, bytes])
    const end = all.indexOf(mark, 0, 'latin1')
    if ((end < 0 ? all.length : end) > most) throw new MalformedResponse(`more than ${most} bytes`)
    if (end < 0) {
      this.#held = all === bytes ? Buffer.from(bytes) : all
      return [undefined, NOTHING]
    }
    this.#held = undefined
    return [all.toString('latin1', 0, end), all.subarray(end + mark.length)]
  }

  #end(parts: ResponseParts): void {
    this.#parts = undefined
    parts.end()
  }
}

const NOTHING = Buffer.alloc(0)

interface FramedHead extends ResponseHead {
  readonly closes: boolean
}

/** Field lines, without the ends of the lines, and their fields. */
interface FieldLines {
  readonly lines: readonly string[]
  readonly fields: readonly AnswerField[]
}

const NO_LINES: FieldLines = { lines: [], fields: [] }

/** Parses field lines. Reuses the field from `before` for each line that is the same at the same position. @throws MalformedResponse */
function parseLines(lines: readonly string[], before: FieldLines): FieldLines {
  const fields: AnswerField[] = []
  for (const [i, line] of lines.entries()) {
    const known = before.lines[i] === line ? before.fields[i] : undefined
    fields.push(known ?? fieldOf(line))
  }
  return { lines, fields }
}

function fieldOf(line: string): AnswerField {
  const colon = line.indexOf(':')
  const [name, value] = [line.slice(0, colon), line.slice(colon + 1).replace(/^[\t ]+|[\t ]+$/g, '')]
  if (colon < 0 || !NAME.test(name) || !VALUE.test(value))
    throw new MalformedResponse('expected header fields of NAME: VALUE')
  return answerField(name, value)
}

function headOf(line: string, fields: readonly AnswerField[]): FramedHead {
  const status = STATUS_LINE.exec(line)?.[1]
  if (status === undefined) throw new MalformedResponse('expected a status line of HTTP/1.1')
  let length: string | undefined
  let coding: string | undefined
  let closes = false
  for (const { lower, value, named } of fields) {
    if (lower === 'content-length') {
      if (length !== undefined) throw new MalformedResponse('Content-Length: expected once, found twice')
      length = value
    } else if (lower === 'transfer-encoding') {
      if (coding !== undefined) throw new MalformedResponse('Transfer-Encoding: expected once, found twice')
      coding = value
    } else closes ||= named.has('close')
  }
  if (length !== undefined && coding !== undefined)
    throw new MalformedResponse('expected Content-Length or Transfer-Encoding, found both')
  if (length !== undefined && !LENGTH.test(length))
    throw new MalformedResponse('Content-Length: expected a decimal number of bytes')
  if (coding !== undefined && coding !== 'chunked')
    throw new MalformedResponse('Transfer-Encoding: expected chunked and no other')
  return {
    status: Number(status),
    fields,
    length: coding === undefined ? (length === undefined ? undefined : Number(length)) : 'chunked',
    closes,
  }
}
