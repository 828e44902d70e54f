/** Worker threads that answer each message with one message, in order. */
import { existsSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { Worker } from 'node:worker_threads'

/**
 * Starts `count` threads that run `file`, or fewer if the system or a policy does not allow so many. Returns an empty list if this program
 * has no such file, for example because another project bundled it.
 */
export function startAnswering<Question, Answer>(
  file: URL,
  count: number,
  settings?: unknown,
): AnsweringThread<Question, Answer>[] {
  const threads: AnsweringThread<Question, Answer>[] = []
  if (file.protocol !== 'file:' || !existsSync(fileURLToPath(file))) return threads
  try {
    while (threads.length < count) threads.push(new AnsweringThread(file, settings))
  } catch {
    // Use only the threads that have started.
  }
  return threads
}

/** Returns the thread with the fewest messages to answer. */
export function idlest<Thread extends { readonly waiting: number }>(
  threads: readonly Thread[],
): Thread | undefined {
  let best = threads[0]
  for (const thread of threads) if (best === undefined || thread.waiting < best.waiting) best = thread
  return best
}

/** A worker thread that answers each message with one message, in order. */
export class AnsweringThread<Question, Answer> {
  readonly #worker: Worker
  /** The promises of the messages that were sent, oldest first. */
  readonly #sent: ((answer: Answer | undefined) => void)[] = []
  #failed = false

  constructor(file: URL, settings: unknown) {
    this.#worker = new Worker(file, { workerData: settings })
    this.#worker.on('message', (answer: Answer) => this.#sent.shift()?.(answer))
    const fail = (): void => {
      this.#failed = true
      for (const settle of this.#sent.splice(0)) settle(undefined)
    }
    // After an error or an exit, the caller's thread does the rest of the work.
    this.#worker.on('error', fail)
    this.#worker.on('messageerror', fail)
    this.#worker.on('exit', fail)
  }

  /** The number of messages that are not answered yet; infinite when the thread has ended. */
  get waiting(): number {
    return this.#failed ? Infinity : this.#sent.length
  }

  /** Resolves to the answer, or to undefined when the thread has ended. */
  ask(question: Question): Promise<Answer | undefined> {
    if (this.#failed) return Promise.resolve(undefined)
    return new Promise((resolve) => {
      this.#sent.push(resolve)
      this.#worker.postMessage(question, [])
    })
  }

  async close(): Promise<void> {
    await this.#worker.terminate()
  }
}
