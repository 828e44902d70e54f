import type { LedgerStatus } from './ledger.ts'

/** A ledger whose status is checked. */
interface Watched {
  status(): LedgerStatus
}

const CLOCK = {
  'clock-behind': "the clock is behind the newest record's time; see GET /v1/clock",
  'clock-ahead': 'the clock is far ahead of the time elapsed since the start; see GET /v1/clock',
} as const

/** Reports whether a tenant's two ledgers take appends and reads, and if not, why. */
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
      const { accepting, reason, prepared, size, indexed, clock } = ledger.status()
      if (!accepting)
        return { ready: false, reason: `the ${name} takes no appends: ${reason ?? 'it is being closed'}` }
      if (clock !== undefined)
        return {
          ready: false,
          reason: `${clock}: ${CLOCK[clock]} (${name}); reads wait too, as they are recorded`,
        }
      if (!prepared)
        return {
          ready: false,
          reason: `the record index of the ${name} covers ${indexed} of ${size} entries: until it covers all, appends and reads by identifier wait`,
        }
    }
    return { ready: true }
  }
}
