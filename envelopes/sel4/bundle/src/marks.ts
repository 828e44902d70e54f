/** The high-water mark of each ledger. The machine keeps it outside of the disk. */
import type { HighWaterMark, Mark } from '@service-fs/ledger/high-water-mark'
import type { Head } from '@service-fs/ledger/head'
import type { Host, KnownMark } from './host.ts'

/** Advises the owner of an appliance how to continue. */
const APPLIANCE_REMEDY =
  'the end of the ledger is lost, or an older copy of the disk was put back: put a whole copy of the data disk back; docs/appliance.md has the alternatives'

/** Asks the machine to store marks. */
export class Marks {
  readonly #host: Host
  readonly #waiting = new Map<number, { resolve(): void; reject(error: Error): void }>()
  #ids = 0

  constructor(host: Host) {
    this.#host = host
  }

  /** Returns the mark of the ledger `ledger` (0: main, 1: audit). */
  mark(ledger: 0 | 1, known: KnownMark): HighWaterMark {
    return {
      name: known.name,
      remedy: (size) => this.#host.markRemedy?.(ledger, size) ?? APPLIANCE_REMEDY,
      read: async () => readKnown(known),
      begin: (head) => this.#note(ledger, head, true),
      note: (head) => this.#note(ledger, head, false),
      close: async () => undefined,
    }
  }

  noted(id: number, error: string | undefined): void {
    const waiting = this.#waiting.get(id)
    this.#waiting.delete(id)
    if (error === undefined) waiting?.resolve()
    else waiting?.reject(new Error(error))
  }

  async #note(ledger: number, { size, root, note }: Head, begins: boolean): Promise<void> {
    const host = this.#host
    if (host.noteMark === undefined) return
    await new Promise<void>((resolve, reject) => {
      const id = ++this.#ids
      this.#waiting.set(id, { resolve, reject })
      host.noteMark?.(ledger, id, begins, size, root, note)
    })
  }
}

function readKnown({ size, root, problem }: KnownMark): Mark | undefined {
  if (problem !== undefined) throw new Error(problem)
  return size === undefined ? undefined : { size, root }
}
