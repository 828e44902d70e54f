import type { Ledger } from './ledger.ts'

/** Whether a tenant's two ledgers take appends and reads, and why not. */
export class Readiness {
  readonly #ledgers: readonly { name: string; ledger: Ledger; isReady: boolean }[]

  constructor(main: Ledger, audit: Ledger) {
    this.#ledgers = [
      { name: 'ledger', ledger: main, isReady: false },
      { name: 'audit ledger', ledger: audit, isReady: false },
    ]
    for (const one of this.#ledgers) {
      one.ledger.ready().then(
        () => {
          one.isReady = true
        },
        // Its status says why.
        () => undefined,
      )
    }
  }

  now(): { ready: boolean; reason?: string } {
    for (const { name, ledger, isReady } of this.#ledgers) {
      const { accepting, reason } = ledger.status()
      if (!accepting)
        return { ready: false, reason: `the ${name} takes no appends: ${reason ?? 'it is being closed'}` }
      if (!isReady) return { ready: false, reason: `the ${name} is still reading what it holds` }
    }
    return { ready: true }
  }
}
