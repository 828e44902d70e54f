/** Limits the requests of a subject, and the failures of an address. */
import { createHash, randomBytes } from 'node:crypto'
import { Problem } from '@service-fs/wire/problem'
import { BurstyRateLimiter, RateLimiterMemory, RateLimiterRes } from 'rate-limiter-flexible'
import type { RateConfig } from './config.ts'

const FAILURES_PER_MINUTE = 60
const BURST_SECONDS = 10

/** Each method returns a 429 `rate-limited` with a retry delay, or undefined. */
export class Limits {
  #config: string
  #requests: BurstyRateLimiter | undefined
  #failures: RateLimiterMemory

  constructor(rate: RateConfig) {
    this.#config = JSON.stringify(rate)
    this.#requests = requestsOf(rate)
    this.#failures = failuresOf(rate)
  }

  /** Whether the requests of a subject are limited. */
  get limitsRequests(): boolean {
    return this.#requests !== undefined
  }

  /** Applies a configuration; keeps the counts if the configuration is unchanged. */
  update(rate: RateConfig): void {
    const config = JSON.stringify(rate)
    if (config === this.#config) return
    this.#config = config
    this.#requests = requestsOf(rate)
    this.#failures = failuresOf(rate)
  }

  /** Counts a request of a subject. */
  async request(subject: string): Promise<Problem | undefined> {
    if (this.#requests === undefined) return undefined
    return limitProblem(this.#requests.consume(subject), 'too many requests by this subject')
  }

  /** Counts a request without valid credentials. */
  failure(address: string): Promise<Problem | undefined> {
    return limitProblem(this.#failures.consume(slot(address)), FAILING)
  }
}

const FAILING = 'too many requests without valid credentials from this address'

function requestsOf({ requestsPerSecond, burst }: RateConfig): BurstyRateLimiter | undefined {
  if (requestsPerSecond === undefined) return undefined
  return new BurstyRateLimiter(
    new RateLimiterMemory({ points: requestsPerSecond, duration: 1 }),
    new RateLimiterMemory({ points: burst ?? requestsPerSecond, duration: BURST_SECONDS }),
  )
}

function failuresOf({ failuresPerMinute = FAILURES_PER_MINUTE }: RateConfig): RateLimiterMemory {
  return new RateLimiterMemory({ points: failuresPerMinute, duration: 60 })
}

async function limitProblem(consuming: Promise<unknown>, detail: string): Promise<Problem | undefined> {
  try {
    await consuming
    return undefined
  } catch (error) {
    if (error instanceof RateLimiterRes) return limited(error.msBeforeNext, detail)
    throw error
  }
}

function limited(ms: number, detail: string): Problem {
  return new Problem('rate-limited', detail, { retry_after: Math.max(1, Math.ceil(ms / 1000)) })
}

const SALT = randomBytes(16)

/**
 * Returns one of 65,536 slots, which bound the memory for addresses. Because of the salt, a client cannot choose an address that has the
 * same slot as another address.
 */
function slot(address: string): string {
  return createHash('sha256').update(SALT).update(address).digest('hex').slice(0, 4)
}
