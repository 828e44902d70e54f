/** Parses times that the user gives as options. */
import { ClientError } from '@service-fs/client/errors'
import { momentOf } from '@service-fs/client/reads'

/** Returns a day or a time in the form of entry times. `name`: the option. @throws ClientError `usage` */
export function momentIn(name: string, text: string): string {
  const found = momentOf(text)
  if (found !== undefined) return found
  throw new ClientError('usage', `${name}: expected 2026-11-23 or 2026-11-23T08:00:00Z, found ${text}`)
}
