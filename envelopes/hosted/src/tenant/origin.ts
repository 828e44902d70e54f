import { defaultOrigin } from '@service-fs/format/module-id'
import { HostedError } from '@service-fs/http/errors'

/** A ledger keeps the origin that it was begun with. @throws HostedError `usage`: another one is asked for */
export function chooseOrigin(
  stored: string | undefined,
  { moduleId, origin }: { moduleId: string; origin?: string | undefined },
): string {
  if (stored === undefined) return origin ?? defaultOrigin(moduleId)
  if (origin === undefined || origin === stored) return stored
  throw new HostedError('usage', `--origin: the ledger's origin is ${stored} and stays so; found ${origin}`)
}
