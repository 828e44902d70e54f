/** What a command has of the process around it. */
import { fstat, type BigIntStats } from 'node:fs'
import { Writable } from 'node:stream'
import { promisify } from 'node:util'

export interface Io {
  /** Writes to standard output; resolves when there is room for more. */
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

/** The process as it is. */
export const processIo: Io = {
  out: (content) => write(process.stdout, content),
  err: (line) => void process.stderr.write(line + '\n'),
  stdin: () => process.stdin,
  stdinState: () => promisify(fstat)(0, { bigint: true }),
  terminal: process.stderr.isTTY ? process.stderr : undefined,
  status: (code) => void (process.exitCode = code),
  exit: (code) => process.exit(code),
}

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
