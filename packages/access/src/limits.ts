/** How much a subject may ask, and how often an address may fail. */
import { createHash, randomBytes } from 'node:crypto'
import { Problem } from '@service-fs/wire/problem'
import { BurstyRateLimiter, RateLimiterMemory, RateLimiterRes } from 'rate-limiter-flexible'
import type { RateConfig } from './config.ts'

const FAILURES_PER_MINUTE = 60
const BURST_SECONDS = 10

/** Each method answers 429 `rate-limited`, which says when to come back, or nothing. */
export class Limits {
  #config: string
  #requests: BurstyRateLimiter | undefined
  #failures: RateLimiterMemory

  constructor(rate: RateConfig) {
    this.#config = JSON.stringify(rate)
    this.#requests = requestsOf(rate)
    this.#failures = failuresOf(rate)
  }

  /** What was counted stays counted when nothing else is configured. */
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
    return limitProblem(this.#requests.consume(subject), 'more requests than this subject may make')
  }

  /** Counts a request without valid credentials. */
  failure(address: string): Promise<Problem | undefined> {
    return limitProblem(this.#failures.consume(slot(address)), FAILING)
  }
}

const FAILING = 'more requests without valid credentials than an address may make'

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

/** One of 65,536: so many addresses are told apart, and no more are remembered, whoever asks. Nobody can choose whose slot theirs is. */
function slot(address: string): string {
  return createHash('sha256').update(SALT).update(address).digest('hex').slice(0, 4)
}
