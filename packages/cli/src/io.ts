/** The standard streams and the exit status of a command. */
import { visibleLine, visibleText } from '@service-fs/format/visible'
import { nameOf } from './names.ts'
import { fstat, type BigIntStats } from 'node:fs'
import { Writable } from 'node:stream'
import { promisify } from 'node:util'

export interface Io {
  /** Writes text or bytes to standard output. Resolves when the stream can take more. */
  out(content: string | Uint8Array): Promise<void>
  /** Writes a line to standard error. */
  err(line: string): void
  stdin(): AsyncIterable<Uint8Array>
  /** Returns the file state of standard input, which may be a file that changes. */
  stdinState?: () => Promise<BigIntStats>
  /** The terminal for a progress bar; undefined when standard error is not a terminal. */
  terminal: NodeJS.WritableStream | undefined
  /** Sets the exit status of the process. */
  status(code: number): void
  /** Ends the process now. */
  exit(code: number): never
}

/**
 * Returns an Io that makes text safe for a terminal, because output contains names and messages from untrusted sources. Text keeps
 * its line feeds, and JSON keeps its value. Bytes are written unchanged.
 */
export function visibleIo(io: Io): Io {
  return {
    ...io,
    out: (content) => io.out(typeof content === 'string' ? visibleText(content) : content),
    err: (line) => io.err(visibleLine(line)),
  }
}

/** The streams of this process. On a terminal, bytes are shown as text. */
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
      // The reader has closed the pipe (`| head`), so stop.
      else if ('code' in error && error.code === 'EPIPE') process.exit(0)
      else reject(error)
    })
  })
}
