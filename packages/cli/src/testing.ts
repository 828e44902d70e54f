/** Runs commands in tests and captures their output. */
import type { Io } from './io.ts'
import { buildProgram } from './program.ts'

/** The captured output of a command. */
export interface TestIo extends Io {
  text(): string
  bytes(): Buffer
  errors: string[]
  code: number | undefined
}

export class Exit extends Error {
  readonly code: number
  constructor(code: number) {
    super(`exit ${code}`)
    this.code = code
  }
}

export function testIo(stdin: Uint8Array = new Uint8Array()): TestIo {
  const chunks: Buffer[] = []
  const io: TestIo = {
    errors: [],
    code: undefined,
    text: () => Buffer.concat(chunks).toString(),
    bytes: () => Buffer.concat(chunks),
    out: async (content) => void chunks.push(Buffer.from(content)),
    err: (line) => void io.errors.push(line),
    async *stdin() {
      yield stdin
    },
    terminal: undefined,
    status: (code) => void (io.code = code),
    exit(code) {
      io.code = code
      throw new Exit(code)
    },
  }
  return io
}

/** Runs a command line. */
export async function cli(...args: string[]): Promise<TestIo> {
  const io = testIo()
  try {
    await buildProgram(io).parseAsync(args, { from: 'user' })
  } catch (error) {
    if (!(error instanceof Exit)) throw error
  }
  return io
}
