/**
 * Bearer tokens (RFC 6750) of this service: `fs_<id>_<secret>`. The id has 12 digits and lower-case letters; the secret is 256 random bits
 * in base64url. A file keeps the SHA-256 of each token's text, so `printf %s "$TOKEN" | sha256sum` identifies a token.
 */
import { createHash, randomBytes, randomInt, timingSafeEqual } from 'node:crypto'
import { codeOf } from '@service-fs/format/errors'
import type { Role } from '@service-fs/wire/roles'
import * as v from 'valibot'
import { HostedError } from '@service-fs/http/errors'
import { readGuarded } from './guarded-file.ts'
import { parseStrictly, rolesSchema, tenantSchema } from './schemas.ts'

export interface StoredToken {
  id: string
  /** The name of the owner. The subject of the owner's requests is `token:<name>`. */
  name: string
  /** SHA-256 of the token's text, in hexadecimal. */
  sha256: string
  /** A tenant's moduleId, or `*` for all tenants. */
  tenant: string
  roles: readonly Role[]
  /** Times are ISO 8601 in UTC. */
  created: string
  expires?: string
  revoked?: string
}

const time: v.GenericSchema<string> = v.pipe(
  v.string(),
  v.isoTimestamp('expected a time such as 2026-01-31T00:00:00.000Z'),
)

export const TOKEN_NAME: RegExp = /^[A-Za-z0-9][A-Za-z0-9._@+-]{0,63}$/

const token: v.GenericSchema<StoredToken> = v.strictObject({
  id: v.pipe(v.string(), v.regex(/^[0-9a-z]{12}$/, 'expected 12 digits and lower-case letters')),
  name: v.pipe(v.string(), v.regex(TOKEN_NAME, 'expected at most 64 letters, digits and . _ @ + -')),
  sha256: v.pipe(v.string(), v.regex(/^[0-9a-f]{64}$/, 'expected 64 hexadecimal digits')),
  tenant: tenantSchema,
  roles: rolesSchema,
  created: time,
  expires: v.exactOptional(time),
  revoked: v.exactOptional(time),
})

const tokenFile: v.GenericSchema<{ tokens: StoredToken[] }> = v.strictObject({
  tokens: v.pipe(
    v.array(token),
    v.check((list) => new Set(list.map(({ id }) => id)).size === list.length, 'expected each id once'),
  ),
})

/** Returns the tokens in a file of mode 0600. @throws HostedError `access` */
export async function readTokens(path: string): Promise<StoredToken[]> {
  const text = await readGuarded(path, 'owner').catch((error: unknown) => {
    if (!(error instanceof HostedError) || codeOf(error.cause) !== 'ENOENT') throw error
    throw new HostedError('access', `${path}: no such file; \`service-fs token add\` makes it`)
  })
  return parseStrictly(tokenFile, text, path).tokens
}

const ALPHABET = '0123456789abcdefghijklmnopqrstuvwxyz'

/** Creates a token. Returns its id, its text and the text's hash. The text is not stored. */
export function newToken(): { id: string; text: string; sha256: string } {
  const id = Array.from({ length: 12 }, () => ALPHABET[randomInt(ALPHABET.length)]).join('')
  const text = `fs_${id}_${randomBytes(32).toString('base64url')}`
  return { id, text, sha256: hash(text).toString('hex') }
}

const FORM = /^fs_([0-9a-z]{12})_[A-Za-z0-9_-]{43}$/

/** Returns the id in a token's text; undefined when the text does not have a token's form. */
export function tokenId(text: string): string | undefined {
  return FORM.exec(text)?.[1]
}

export type TokenState = 'valid' | 'expired' | 'revoked'

/** Returns the state of a token at a time in milliseconds since 1970. */
export function stateOf({ expires, revoked }: StoredToken, now: number): TokenState {
  if (revoked !== undefined) return 'revoked'
  return expires !== undefined && Date.parse(expires) <= now ? 'expired' : 'valid'
}

/** Finds tokens by their text. The duration of a search does not reveal how much of a secret is right. */
export class TokenTable {
  readonly #byId: ReadonlyMap<string, { token: StoredToken; digest: Buffer }>

  constructor(tokens: readonly StoredToken[]) {
    this.#byId = new Map(
      tokens.map((found) => [found.id, { token: found, digest: Buffer.from(found.sha256, 'hex') }]),
    )
  }

  /** Returns the owner's name of the token whose id is in a text, even if the secret is wrong. */
  nameOf(text: string): string | undefined {
    return this.#byId.get(tokenId(text) ?? '')?.token.name
  }

  find(text: string): StoredToken | undefined {
    const found = this.#byId.get(tokenId(text) ?? '')
    const isSame = timingSafeEqual(hash(text), found?.digest ?? NOBODY)
    return isSame ? found?.token : undefined
  }
}

/** A hash that no text has. */
const NOBODY = randomBytes(32)

function hash(text: string): Buffer {
  return createHash('sha256').update(text).digest()
}
