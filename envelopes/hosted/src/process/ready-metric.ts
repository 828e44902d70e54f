/** The metric that shows whether a tenant's ledgers are ready and, if not, why. */
import type { LedgerStatus } from '@service-fs/ledger/ledger'
import type { LedgerName } from '../tenant/metrics.ts'
import { Gauge, type Registry } from './prom.ts'

/** The reason label of a ready ledger. */
export const READY = 'none'

const NAME = 'service_fs_ready'
const HELP =
  '1 while a ledger accepts appends; 0 with the reason (full, read-only, stopped, …) while it does not.'

/** Registers the gauge. The reason `unavailable` means that no process of the tenant could be reached. */
export function readyGauge(
  registry: Registry,
  collect: (shown: Gauge<'tenant' | 'ledger' | 'reason'>) => void,
): void {
  const shown: Gauge<'tenant' | 'ledger' | 'reason'> = new Gauge({
    name: NAME,
    help: HELP,
    labelNames: ['tenant', 'ledger', 'reason'],
    registers: [registry],
    collect() {
      shown.reset()
      collect(shown)
    },
  })
}

export function watchReady(
  registry: Registry,
  ledgers: Readonly<Record<LedgerName, { status(): LedgerStatus }>>,
): void {
  readyGauge(registry, (shown) => {
    for (const [ledger, { status }] of Object.entries(ledgers).map(
      ([name, one]) => [name, { status: one.status() }] as const,
    )) {
      const reason = reasonOf(status)
      shown.set({ ledger, reason }, reason === READY ? 1 : 0)
    }
  })
}

/** Returns the reason why a ledger is not ready, as one word. */
function reasonOf({ accepting, code, clock, prepared }: LedgerStatus): string {
  if (!accepting) return code ?? 'stopped'
  if (clock !== undefined) return clock
  return prepared ? READY : 'preparing'
}

/** Returns the distinct reasons in the text of a tenant's metrics. */
export function reasonsIn(text: string): string[] {
  const series = [...text.matchAll(/^service_fs_ready\{(.*)\} 0$/gm)]
  const reasons = series.map(([, labels = '']) => /reason="([a-z-]{1,32})"/.exec(labels)?.[1])
  return [...new Set(reasons.filter((reason) => reason !== undefined))]
}
