/** Fetches the signing keys of an issuer: OpenID Connect Discovery 1.0 §4, JWK sets of RFC 7517 §5. */
import {
  createRemoteJWKSet,
  customFetch,
  errors,
  type CryptoKey,
  type FlattenedJWSInput,
  type JWTHeaderParameters,
  type RemoteJWKSet,
} from 'jose'
import { type OidcConfig, isSecure } from './config.ts'

const FETCH_MS = 5_000
/** The maximum age of keys; after that they are fetched again. */
const KEYS_MS = 10 * 60_000
/** The minimum time between two fetches for tokens with an unknown key. */
const COOLDOWN_MS = 10_000
const DISCOVERY_MS = 60 * 60_000
/** The pause after a failed fetch. */
const PAUSE_MS = 3_000

/** The issuer's keys cannot be fetched, so the token cannot be checked. */
export class IssuerUnavailable extends Error {
  readonly code = 'issuer-unavailable'

  constructor(issuer: string, cause: unknown) {
    super(`${issuer}: cannot fetch its keys: ${cause instanceof Error ? cause.message : String(cause)}`, {
      cause,
    })
    this.name = 'IssuerUnavailable'
  }
}

export interface KeysOptions {
  /** Returns the time in milliseconds since 1970. */
  now(): number
  report?: ((error: unknown) => void) | undefined
}

type Fetch = (url: string, options: RequestInit) => Promise<Response>

export class IssuerKeys {
  readonly #config: OidcConfig
  readonly #options: KeysOptions
  #keys: { url: string; set: RemoteJWKSet; until: number } | undefined
  #discovery: Promise<RemoteJWKSet> | undefined
  #fetch: Promise<Fetch> | undefined
  #failed: { error: IssuerUnavailable; until: number } | undefined

  constructor(config: OidcConfig, options: KeysOptions) {
    this.#config = config
    this.#options = options
  }

  /** Returns the key that a token names. @throws IssuerUnavailable; an error of jose when the issuer has no such key */
  async find(header: JWTHeaderParameters, token: FlattenedJWSInput): Promise<CryptoKey> {
    const now = this.#options.now()
    if (this.#failed !== undefined && now < this.#failed.until) throw this.#failed.error
    try {
      return await (
        await this.#set(now)
      )(header, token)
    } catch (error) {
      if (isAboutToken(error)) throw error
      const unavailable = new IssuerUnavailable(this.#config.issuer, error)
      this.#failed = { error: unavailable, until: now + PAUSE_MS }
      this.#options.report?.(unavailable)
      throw unavailable
    }
  }

  async #set(now: number): Promise<RemoteJWKSet> {
    if (this.#keys !== undefined && now < this.#keys.until) return this.#keys.set
    this.#discovery ??= this.#discover(now).finally(() => (this.#discovery = undefined))
    return this.#discovery
  }

  async #discover(now: number): Promise<RemoteJWKSet> {
    const get = await (this.#fetch ??= fetchTrusting(this.#config.ca))
    const url = this.#config.jwksUri ?? (await jwksUriOf(this.#config.issuer, get))
    const set =
      this.#keys?.url === url
        ? this.#keys.set
        : createRemoteJWKSet(new URL(url), {
            timeoutDuration: FETCH_MS,
            cooldownDuration: COOLDOWN_MS,
            cacheMaxAge: KEYS_MS,
            [customFetch]: get,
          })
    this.#keys = { url, set, until: now + DISCOVERY_MS }
    return set
  }
}

function isAboutToken(error: unknown): boolean {
  return (
    error instanceof errors.JWKSNoMatchingKey ||
    error instanceof errors.JWKSMultipleMatchingKeys ||
    error instanceof errors.JOSENotSupported
  )
}

async function jwksUriOf(issuer: string, get: Fetch): Promise<string> {
  const url = `${issuer.replace(/\/$/, '')}/.well-known/openid-configuration`
  const response = await get(url, { redirect: 'error', signal: AbortSignal.timeout(FETCH_MS) })
  if (response.status !== 200) throw new Error(`${url}: expected 200, found ${response.status}`)
  const found = (await response.json()) as { issuer?: unknown; jwks_uri?: unknown } | null
  if (found?.issuer !== issuer) throw new Error(`${url}: expected the issuer ${issuer}, found another`)
  const { jwks_uri: keys } = found
  if (typeof keys === 'string' && isSecure(keys, 'query')) return keys
  throw new Error(`${url}: jwks_uri: expected https://…, or http:// on a loopback address`)
}

/** Returns a `fetch` that trusts only the authorities in `ca`, or by default the authorities known to Node.js. */
async function fetchTrusting(ca: string | undefined): Promise<Fetch> {
  if (ca === undefined) return fetch
  const { Agent, fetch: fetchBy } = await import('undici')
  const dispatcher = new Agent({ connect: { ca } })
  return (url, options) =>
    fetchBy(url, { ...(options as object), dispatcher }) as Promise<unknown> as Promise<Response>
}
