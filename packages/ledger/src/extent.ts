import { tileWidth } from '@service-fs/tlog/tile'
import { LedgerError } from './errors.ts'
import type { Head } from './head.ts'

/** The part of a ledger that can be read: the tree of its newest durable checkpoint. */
export class Extent {
  readonly #head: () => Head
  readonly #isWhole: boolean

  /** `isWhole`: whether that tree has every entry that may have been acknowledged. */
  constructor(head: () => Head, isWhole: boolean) {
    this.#head = head
    this.#isWhole = isWhole
  }

  get head(): Head {
    return this.#head()
  }

  /** Entries in the tree. */
  get size(): number {
    return this.head.size
  }

  /** Returns the error for something outside the tree, which may still be in the ledger when the tree is not the whole ledger. */
  absent(code: 'not-found' | 'range', message: string): LedgerError {
    if (this.#isWhole) return new LedgerError(code, message)
    return new LedgerError(
      'read-only',
      `${message} that are known to be durable; later entries are not shown`,
    )
  }

  /** @throws LedgerError `not-found`, `read-only` */
  checkIndex(index: number): void {
    if (Number.isSafeInteger(index) && index >= 0 && index < this.size) return
    throw this.absent('not-found', `index ${index}: the ledger has ${this.size} entries`)
  }

  /** @throws LedgerError `not-found`, `read-only` */
  checkTile(level: number | 'entries', index: number, width: number): void {
    const found = tileWidth(level, index, this.size)
    if (width >= 1 && width <= found) return
    throw this.absent(
      'not-found',
      `tile ${level}/${index} of width ${width}: the checkpoint of size ${this.size} covers ${found} of it`,
    )
  }

  /** @throws LedgerError `range`, `read-only` */
  checkRange(name: string, value: number, from: number, to: number): void {
    if (Number.isSafeInteger(value) && value >= from && value <= to) return
    throw this.absent(
      'range',
      `${name}: expected ${from} to ${to}, found ${value}; the current size is ${this.size}`,
    )
  }
}
