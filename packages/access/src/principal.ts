import type { Grant } from './settings.ts'

/** Somebody whose credentials were good, with all that they were granted. */
export interface Principal {
  subject: string
  grants: readonly Grant[]
}
