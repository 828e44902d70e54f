/** Counts requests without valid credentials, and logs bursts of them by address and by token. */
import { Bursts } from './bursts.ts'
import type { Logger } from './log.ts'
import { Counter, type Registry } from './prom.ts'

export interface FailedCredentials {
  /** `subject`: the owner of the token that the request names, if that token is known. */
  readonly add: (address: string, subject: string | undefined) => void
  /** Logs the end of every current burst. */
  close(): void
}

const LEAST = 10
const MINUTE_MS = 60_000

export function failedCredentials(log: Pick<Logger, 'warn'>, registry: Registry): FailedCredentials {
  const total = new Counter({
    name: 'service_fs_credentials_refused_total',
    help: 'Requests without valid credentials, answered 401 or 429.',
    registers: [registry],
  })
  const bursts = (by: 'address' | 'subject'): Bursts =>
    new Bursts({
      least: LEAST,
      windowMs: MINUTE_MS,
      quietMs: MINUTE_MS,
      began: (key) => log.warn('many requests without valid credentials', { [by]: key }),
      ended: (key, count, seconds) =>
        log.warn('no more requests without valid credentials', { [by]: key, count, seconds }),
    })
  const [addresses, subjects] = [bursts('address'), bursts('subject')]
  return {
    add(address, subject) {
      total.inc()
      addresses.add(address)
      if (subject !== undefined) subjects.add(subject)
    },
    close() {
      addresses.close()
      subjects.close()
    },
  }
}
