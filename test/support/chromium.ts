/** Drives Debian's Chromium over its DevTools pipe. */
import { spawn, spawnSync, type ChildProcess } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Readable, Writable } from 'node:stream'

const works = (command: string, ...args: string[]): boolean => spawnSync(command, args).status === 0

/** Whether there is a command `chromium`, and this process may start it without a network. */
export const hasChromium: boolean = works('unshare', '-n', 'true') && works('chromium', '--version')

const FLAGS = [
  '--headless=new',
  '--remote-debugging-pipe',
  '--no-first-run',
  '--disable-gpu',
  '--disable-dev-shm-usage',
  '--disable-background-networking',
  '--disable-component-update',
  // The sandbox needs privileges that a container may lack. The pages are the test's own.
  '--no-sandbox',
]

interface Answer {
  id?: number
  method?: string
  sessionId?: string
  params?: any
  result?: any
  error?: { message: string }
}

/** A page in a separate browser without a network. */
export class ChromiumPage {
  readonly #process: ChildProcess
  readonly #directory: string
  readonly #waiting = new Map<number, { resolve(result: any): void; reject(error: Error): void }>()
  #session: string | undefined
  #next = 1
  #ended: Error | undefined
  /** The URL of each request of the page, in order. */
  readonly requests: string[] = []
  /** Errors, and messages of the console, such as violations of the content security policy. */
  readonly messages: string[] = []

  private constructor(process: ChildProcess, directory: string) {
    this.#process = process
    this.#directory = directory
    let text = ''
    ;(process.stdio[4] as Readable).setEncoding('utf8').on('data', (chunk: string) => {
      text += chunk
      const parts = text.split('\0')
      text = parts.pop() ?? ''
      for (const part of parts) this.#receive(JSON.parse(part) as Answer)
    })
    process.once('exit', (code) => this.#end(new Error(`chromium: exited with ${code}`)))
    process.once('error', (error) => this.#end(error))
  }

  /** Starts the browser in a network namespace of its own, which has no interface that is up. */
  static async open(): Promise<ChromiumPage> {
    const directory = await mkdtemp(join(tmpdir(), 'chromium-'))
    const args = ['-n', 'chromium', ...FLAGS, `--user-data-dir=${directory}`, 'about:blank']
    const stdio = ['ignore', 'ignore', 'ignore', 'pipe', 'pipe'] as const
    const page = new ChromiumPage(spawn('unshare', args, { stdio: [...stdio], detached: true }), directory)
    const { targetInfos } = await page.#ask('Target.getTargets')
    const target = targetInfos.find(({ type }: { type: string }) => type === 'page')
    const { sessionId } = await page.#ask('Target.attachToTarget', {
      targetId: target.targetId,
      flatten: true,
    })
    page.#session = sessionId
    for (const domain of ['Network', 'Page', 'Runtime', 'Log']) await page.#ask(`${domain}.enable`)
    return page
  }

  async goto(url: string): Promise<void> {
    await this.#ask('Page.navigate', { url })
  }

  /** Returns the value of an expression, whose promise it awaits. @throws Error when the expression throws */
  async evaluate(expression: string): Promise<any> {
    const options = { expression, awaitPromise: true, returnByValue: true }
    const { result, exceptionDetails } = await this.#ask('Runtime.evaluate', options)
    if (exceptionDetails !== undefined) throw new Error(JSON.stringify(exceptionDetails).slice(0, 500))
    return result.value
  }

  /** Waits until an expression has a true value, and returns that. */
  async until(expression: string, seconds = 60): Promise<any> {
    const end = Date.now() + seconds * 1000
    for (;;) {
      const value = await this.evaluate(expression).catch(() => undefined)
      if (value !== undefined && value !== null && value !== false) return value
      if (Date.now() > end) throw new Error(`${expression}: not true after ${seconds} s`)
      await new Promise((resolve) => setTimeout(resolve, 50))
    }
  }

  /** Presses and releases a key, such as Tab or Enter. */
  async press(key: 'Tab' | 'Enter' | 'Space'): Promise<void> {
    const [code, windowsVirtualKeyCode, text] = (
      { Tab: ['Tab', 9, ''], Enter: ['Enter', 13, '\r'], Space: ['Space', 32, ' '] } as const
    )[key]
    const event = { key: key === 'Space' ? ' ' : key, code, windowsVirtualKeyCode }
    const down = text === '' ? { type: 'rawKeyDown' } : { type: 'keyDown', text }
    await this.#ask('Input.dispatchKeyEvent', { ...down, ...event })
    await this.#ask('Input.dispatchKeyEvent', { type: 'keyUp', ...event })
  }

  /** Types text into the focused element. */
  async type(text: string): Promise<void> {
    await this.#ask('Input.insertText', { text })
  }

  /** Chooses a file in the input with this id. */
  async chooseFile(id: string, path: string): Promise<void> {
    const { result } = await this.#ask('Runtime.evaluate', {
      expression: `document.getElementById(${JSON.stringify(id)})`,
    })
    await this.#ask('DOM.setFileInputFiles', { files: [path], objectId: result.objectId })
  }

  async close(): Promise<void> {
    const exited = new Promise((resolve) => this.#process.once('exit', resolve))
    if (this.#ended === undefined && this.#process.pid !== undefined) {
      process.kill(-this.#process.pid, 'SIGKILL')
      await exited
    }
    await rm(this.#directory, { recursive: true, force: true, maxRetries: 10, retryDelay: 100 })
  }

  #ask(method: string, params: Record<string, unknown> = {}): Promise<any> {
    if (this.#ended !== undefined) return Promise.reject(this.#ended)
    const id = this.#next++
    const session = this.#session === undefined ? {} : { sessionId: this.#session }
    const message = `${JSON.stringify({ id, method, params, ...session })}\0`
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject })
      ;(this.#process.stdio[3] as Writable).write(message)
    })
  }

  #receive({ id, method, params, result, error }: Answer): void {
    if (id !== undefined) {
      const waiting = this.#waiting.get(id)
      this.#waiting.delete(id)
      if (error === undefined) waiting?.resolve(result)
      else waiting?.reject(new Error(error.message))
    } else if (method === 'Network.requestWillBeSent') this.requests.push(params.request.url)
    else if (method === 'Runtime.exceptionThrown') this.messages.push(JSON.stringify(params.exceptionDetails))
    else if (method === 'Log.entryAdded') this.messages.push(`${params.entry.level}: ${params.entry.text}`)
    else if (method === 'Runtime.consoleAPICalled') this.messages.push(JSON.stringify(params.args))
  }

  #end(error: Error): void {
    this.#ended = error
    for (const waiting of this.#waiting.values()) waiting.reject(error)
    this.#waiting.clear()
  }
}
