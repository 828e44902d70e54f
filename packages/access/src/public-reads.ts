/** Refuses settings that contradict public reads. */
import { HostedError } from '@service-fs/http/errors'
import type { AccessSettings } from './settings.ts'
import { stateOf } from './tokens.ts'

/**
 * Checks that the settings grant nobody the role `read`: an operator who grants it wants reads to be limited to known
 * subjects, and recorded.
 * @throws HostedError `access`
 */
export function checkPublicReads(
  { tokens = [], oidc, certificates }: AccessSettings,
  now: number = Date.now(),
): void {
  const granted = [
    ...tokens
      .filter((token) => stateOf(token, now) === 'valid')
      .map(({ name, roles }) => ({ who: `the token ${name}`, roles })),
    ...oidc.flatMap(({ issuer, grants }) =>
      grants.map(({ roles }) => ({ who: `the issuer ${issuer}`, roles })),
    ),
    ...certificates.map(({ name, roles }) => ({ who: `the certificate ${name}`, roles })),
  ]
  const reader = granted.find(({ roles }) => roles.includes('read'))
  if (reader === undefined) return
  throw new HostedError(
    'access',
    `--public-reads: expected no credentials with the role read, because everybody may read and no read is recorded; found ${reader.who}`,
  )
}
