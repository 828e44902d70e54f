// Runs the commands of a console session in the documentation in bash, and compares the output with the page.

import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, mkdirSync, writeFileSync } from 'node:fs'
import { delimiter, join } from 'node:path'
import { serviceFs } from '../support/daemon.ts'

export interface Step {
  command: string
  /** The output on the page. A line `…` stands for any lines, and `…` within a line for any text. */
  expected: string[]
}

/** The commands of the console blocks in a page, or in the sections of it whose headings are given. */
export function stepsOf(page: string, headings?: readonly string[]): Step[] {
  const steps: Step[] = []
  let heading = ''
  let inside = false
  for (const line of page.split('\n')) {
    if (line.startsWith('```')) inside = line === '```console'
    else if (!inside && line.startsWith('## ')) heading = line.slice(3)
    else if (!inside || headings?.includes(heading) === false) continue
    else if (line.startsWith('$ ')) steps.push({ command: line.slice(2), expected: [] })
    else steps.at(-1)?.expected.push(line)
  }
  return steps
}

/** Patterns of text that differs from run to run, with the name that replaces it for the comparison. */
const VARYING: readonly (readonly [RegExp, string])[] = [
  [/\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z/g, '<time>'],
  [/[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}/g, '<uuid>'],
  [/\+[0-9a-f]{8}\+[A-Za-z0-9+/]{43,}=*/g, '+<key>'],
  // In JSON a hash may follow the line end of a checkpoint, `\n`.
  [/(?:(?<![A-Za-z0-9+/])|(?<=\\n))[A-Za-z0-9+/]{43}=/g, '<hash>'],
  [/[A-Za-z0-9+/]{60,}=*/g, '<base64>'],
  [/\b[0-9a-f]{64}\b/g, '<sha256>'],
  [/(?: [0-9a-f]{2}){16}/g, '<bytes>'],
  [/\(process \d+\)/g, '(process <pid>)'],
]

function withoutVarying(line: string): string {
  return VARYING.reduce((text, [pattern, name]) => text.replaceAll(pattern, name), line)
}

/** Reports whether a command printed the output on the page. */
export function agrees(printed: readonly string[], expected: readonly string[]): boolean {
  const lines = expected.map((line) =>
    line === '…'
      ? String.raw`(?:[^\n]*\n)*`
      : withoutVarying(line)
          .replaceAll(/[.*+?^${}()|[\]\\]/g, String.raw`\$&`)
          .replaceAll('…', String.raw`[^\n]*`) + String.raw`\n`,
  )
  const text = printed.map((line) => `${withoutVarying(line)}\n`).join('')
  return new RegExp(`^${lines.join('')}$`).test(text)
}

/** A line of a daemon's log, which pages omit. */
const isLog = (line: string): boolean => /^\{"(?:level|time)":/.test(line)

const END = '-- end of command --'

/** A bash that runs in a directory, with the built `service-fs` behind `npx service-fs`. */
export class Shell {
  readonly #bash: ChildProcessWithoutNullStreams
  #text = ''
  #wake: (() => void) | undefined
  #isClosed = false

  constructor(dir: string, env: Readonly<Record<string, string>> = {}) {
    const bin = join(dir, '.bin')
    mkdirSync(bin)
    writeFileSync(join(bin, 'npx'), `#!/bin/sh\nshift\nexec '${process.execPath}' '${serviceFs}' "$@"\n`)
    chmodSync(join(bin, 'npx'), 0o755)
    const path = `${bin}${delimiter}${process.env['PATH'] ?? ''}`
    this.#bash = spawn('bash', ['--noprofile', '--norc'], {
      cwd: dir,
      env: { ...process.env, LC_ALL: 'C.UTF-8', ...env, PATH: path },
      detached: true,
    })
    for (const stream of [this.#bash.stdout, this.#bash.stderr]) {
      stream.setEncoding('utf8')
      stream.on('data', (chunk: string) => {
        this.#text += chunk
        this.#wake?.()
      })
    }
    this.#bash.on('exit', () => this.#wake?.())
    this.#bash.on('close', () => (this.#isClosed = true))
    this.#bash.stdin.write('exec 2>&1\n')
  }

  /**
   * Runs a command and resolves to the lines that it printed. A command may start a process in the background, which prints its lines
   * sooner or later than the command ends: then `isWhole` says whether they are complete.
   */
  async run(
    command: string,
    isWhole?: (printed: readonly string[]) => boolean,
    timeoutMs = 300_000,
  ): Promise<string[]> {
    this.#bash.stdin.write(`${command}\nprintf '%s\\n' '${END}'\n`)
    const deadline = Date.now() + timeoutMs
    for (;;) {
      const printed = this.#printed(isWhole)
      if (printed !== undefined) return printed
      if (this.#bash.exitCode !== null || Date.now() > deadline)
        throw new Error(`${command}: did not end, or did not print its lines\n${this.#text}`)
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, 250)
        this.#wake = () => {
          clearTimeout(timer)
          resolve()
        }
      })
    }
  }

  /** Takes the lines of a command, once it has ended and its lines are complete. */
  #printed(isWhole: ((printed: readonly string[]) => boolean) | undefined): string[] | undefined {
    const at = this.#text.indexOf(`${END}\n`)
    if (at < 0) return undefined
    const [before, after] = [this.#text.slice(0, at), this.#text.slice(at + END.length + 1)]
    const taken = isWhole === undefined ? 0 : after.lastIndexOf('\n') + 1
    const lines = (before + after.slice(0, taken)).split('\n')
    // A command whose output has no line end, such as curl's, has the next prompt on its last line.
    if (lines.at(-1) === '') lines.pop()
    const printed = lines.filter((line) => !isLog(line))
    if (isWhole?.(printed) === false) return undefined
    this.#text = after.slice(taken)
    return printed
  }

  /** Ends the shell and every process that it started, and waits until all of them have closed their output. */
  async end(): Promise<void> {
    if (this.#bash.pid === undefined) return
    const closed = this.#isClosed ? undefined : once(this.#bash, 'close')
    try {
      process.kill(-this.#bash.pid, 'SIGTERM')
    } catch {
      // The processes have already ended.
    }
    await closed
  }
}
