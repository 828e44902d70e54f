/** What a command has of the process around it. */
import { visibleLine, visibleText } from '@service-fs/format/visible'
import { nameOf } from './names.ts'
import { fstat, type BigIntStats } from 'node:fs'
import { Writable } from 'node:stream'
import { promisify } from 'node:util'

export interface Io {
  /** Writes text for people or JSON, or bytes, to standard output; resolves when there is room for more. */
  out(content: string | Uint8Array): Promise<void>
  /** Writes a line to standard error. */
  err(line: string): void
  stdin(): AsyncIterable<Uint8Array>
  /** What standard input is now: a file that it was led from may change while it is read. */
  stdinState?: () => Promise<BigIntStats>
  /** Where a progress bar goes; undefined when nobody would see it. */
  terminal: NodeJS.WritableStream | undefined
  /** The exit status of the process, once it ends. */
  status(code: number): void
  /** Ends the process now. */
  exit(code: number): never
}

/**
 * The same, with text made safe for a terminal: what a command writes has names and messages in it that come from outside. Text of
 * several lines keeps its line feeds, and JSON stays the same JSON. Bytes are written as they are.
 */
export function visibleIo(io: Io): Io {
  return {
    ...io,
    out: (content) => io.out(typeof content === 'string' ? visibleText(content) : content),
    err: (line) => io.err(visibleLine(line)),
  }
}

/** The process as it is. Bytes that go to a terminal are shown as text. */
export const processIo: Io = visibleIo({
  out: (content) => write(process.stdout, process.stdout.isTTY ? visibleText(nameOf(content)) : content),
  err: (line) => void process.stderr.write(line + '\n'),
  stdin: () => process.stdin,
  stdinState: () => promisify(fstat)(0, { bigint: true }),
  terminal: process.stderr.isTTY ? process.stderr : undefined,
  status: (code) => void (process.exitCode = code),
  exit: (code) => process.exit(code),
})

function write(stream: Writable, content: string | Uint8Array): Promise<void> {
  return new Promise((resolve, reject) => {
    stream.write(content, (error) => {
      if (error === null || error === undefined) resolve()
      // Who reads has enough (`| head`): nothing is left to do.
      else if ('code' in error && error.code === 'EPIPE') process.exit(0)
      else reject(error)
    })
  })
}
