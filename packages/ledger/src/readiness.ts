import type { LedgerStatus } from './ledger.ts'

/** What says how a ledger is. */
interface Watched {
  status(): LedgerStatus
}

/** Whether a tenant's two ledgers take appends and reads, and why not. */
export class Readiness {
  readonly #ledgers: readonly { name: string; ledger: Watched }[]

  constructor(main: Watched, audit: Watched) {
    this.#ledgers = [
      { name: 'ledger', ledger: main },
      { name: 'audit ledger', ledger: audit },
    ]
  }

  now(): { ready: boolean; reason?: string } {
    for (const { name, ledger } of this.#ledgers) {
      const { accepting, reason, prepared, size, indexed } = ledger.status()
      if (!accepting)
        return { ready: false, reason: `the ${name} takes no appends: ${reason ?? 'it is being closed'}` }
      if (!prepared)
        return {
          ready: false,
          reason: `the record index of the ${name} covers ${indexed} of ${size} entries: until it covers all, appends and reads by identifier wait`,
        }
    }
    return { ready: true }
  }
}
