/**
 * The signature algorithms that a JWS may name in `alg` (RFC 7518 §3.1, RFC 8037, RFC 9864): asymmetric ones only, because with HS256 an
 * attacker could use a public key as the shared secret, and `none` signs nothing.
 */
export const JWS_ALGORITHMS: readonly string[] = [
  'RS256',
  'RS384',
  'RS512',
  'PS256',
  'PS384',
  'PS512',
  'ES256',
  'ES384',
  'ES512',
  'EdDSA',
  'Ed25519',
]
