/** Says in plain words what a refusal of a store means, where its code does not. */
const ELSEWHERE = 'the bucket is in another region, or behind another endpoint'
const KEY = 'the access key is wrong, or of another store'

const HINTS: Readonly<Record<string, string>> = {
  AccessDenied: 'the key may not do this',
  AuthorizationHeaderMalformed: ELSEWHERE,
  ExpiredToken: 'the temporary credentials have expired',
  IllegalLocationConstraintException: ELSEWHERE,
  InvalidAccessKeyId: KEY,
  NotImplemented: 'the store lacks this operation',
  PermanentRedirect: ELSEWHERE,
  RequestTimeTooSkewed: 'the clocks of this machine and of the store differ',
  SignatureDoesNotMatch: 'the secret key is wrong, or a proxy changed the request',
  TemporaryRedirect: ELSEWHERE,
}

/** Returns the meaning with a colon before it; empty when the code says it all. */
export function hintOf(status: number, code: string | undefined): string {
  // An answer to HEAD has no code, and a proxy's has another one.
  const isElsewhere = code === undefined && status >= 300 && status < 400
  const hint = isElsewhere ? ELSEWHERE : code === undefined ? undefined : HINTS[code]
  return hint === undefined ? '' : `: ${hint}`
}
