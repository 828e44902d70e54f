/** Helpers of the conformance suite: the server under test, its responses, and assertions. */
import type { LedgerConformanceOptions } from '@service-fs/ledger/conformance'
import { openCheckpoint, type Checkpoint } from '@service-fs/tlog/checkpoint'
import { pureCodec } from '@service-fs/tlog/codec'
import { Edge } from '@service-fs/tlog/edge'
import { nobleHasher, type Hash } from '@service-fs/tlog/hash'
import { verifierFromVkey } from '@service-fs/tlog/keys'
import type { KeyCrypto } from '@service-fs/tlog/scheme'
import { bundleFromBinary } from '@service-fs/tlog/tile-text'
import { PROBLEMS, type ProblemCode } from './problem.ts'

/** A response. */
export interface WireAnswer {
  readonly status: number
  /** Lower-case names. */
  readonly headers: Readonly<Record<string, string>>
  /** The body, without a content coding; empty for HEAD. */
  readonly body: Uint8Array
}

/** A server under test, with its own empty ledger. */
export interface WireSubject {
  /** Sends a request. `target` is sent verbatim; header values have one character for each byte. */
  readonly request: (
    method: string,
    target: string,
    headers: Readonly<Record<string, string>>,
    body: Uint8Array,
  ) => Promise<WireAnswer>
  /** Moves the server's clock by `ms` milliseconds, which may be negative. Required if the options have `clock`. */
  readonly advance?: (ms: number) => void | Promise<void>
  /** Restarts the server on the same ledger, after a clean stop or after a kill. */
  readonly reopen: (how: 'stop' | 'kill') => Promise<void>
  /** Stops the server and removes its ledger. */
  readonly dispose: () => Promise<void>
}

/** A part of the suite, by its subject. */
export type WirePart =
  | 'routes'
  | 'appends'
  | 'bad appends'
  | 'framed batches'
  | 'retention'
  | 'signatures'
  | 'coded bodies'
  | 'limits'
  | 'reads'
  | 'proofs'
  | 'tiles'
  | 'streams'
  | 'audit'
  | 'restarts'
  | 'clock'

/** Options of the suite. */
export interface WireConformanceOptions {
  readonly name: string
  readonly open: () => Promise<WireSubject>
  readonly test: LedgerConformanceOptions['test']
  /** The tenant of the server; default `acme`. */
  readonly moduleId?: string
  /** Whether the servers have `advance`. */
  readonly clock?: boolean
  /** The parts to run; default: all. */
  readonly parts?: readonly WirePart[]
  /** Native primitives to verify the responses with. Default: pure ECMAScript. */
  readonly crypto?: KeyCrypto
}

export const JSON_TYPE: string = 'application/json'
export const NDJSON: Readonly<Record<string, string>> = { 'content-type': 'application/x-ndjson' }

export type Json = any

export interface Answer extends WireAnswer {
  /** The body as text; empty if it is not UTF-8. */
  readonly text: string
  /** The body as JSON; undefined if it is not JSON. */
  readonly json: Json
}

export interface Question {
  readonly method?: string
  /** The tenant to name; undefined for none. Default: that of the server. */
  readonly tenant?: string | undefined
  readonly headers?: Readonly<Record<string, string | undefined>>
  readonly body?: string | Uint8Array
}

export interface Tools {
  readonly it: (name: string, test: (server: Server) => Promise<void>) => void
  readonly same: (actual: unknown, expected: unknown) => void
  /** Compares only the members of `expected`. */
  readonly like: (actual: Json, expected: Readonly<Record<string, unknown>>) => void
  /** Expects a problem document with this code and these members. */
  readonly refused: (answer: Answer, code: ProblemCode, members: Readonly<Record<string, unknown>>) => void
}

export function tools(options: WireConformanceOptions): Tools {
  const same = (actual: unknown, expected: unknown): void =>
    void options.test.expect(actual).toEqual(expected)
  const like: Tools['like'] = (actual, expected) => {
    const names = Object.keys(expected)
    same(Object.fromEntries(names.map((name) => [name, actual?.[name]])), expected)
  }
  return {
    same,
    like,
    refused: ({ status, headers, json }, code, members) => {
      const { title, status: expected, retryAfter } = PROBLEMS[code]
      const type = `urn:service-fs:problem:${code}`
      like({ ...json, found: status }, { found: expected, status: expected, code, type, title, ...members })
      same(typeof json.detail === 'string' && json.detail !== '', true)
      same([headers['content-type'], headers['cache-control']], ['application/problem+json', 'no-store'])
      same(headers['retry-after'], retryAfter === undefined ? undefined : String(retryAfter))
    },
    it: (name, run) => {
      options.test.it(name, async () => {
        const subject = await options.open()
        try {
          await run(new Server(subject, options))
        } finally {
          await subject.dispose()
        }
      })
    },
  }
}

/** The server of one test, with helpers to check its responses. */
export class Server {
  readonly moduleId: string
  readonly hasher: NonNullable<KeyCrypto['hasher']>
  readonly #codec: NonNullable<KeyCrypto['codec']>
  readonly #subject: WireSubject
  readonly #crypto: KeyCrypto
  #appended = 0
  #identity: { vkey: string; origin: string } | undefined

  constructor(subject: WireSubject, { moduleId = 'acme', crypto = {} }: WireConformanceOptions) {
    this.moduleId = moduleId
    this.hasher = crypto.hasher ?? nobleHasher
    this.#codec = crypto.codec ?? pureCodec
    this.#crypto = crypto
    this.#subject = subject
  }

  async ask(target: string, question: Question = {}): Promise<Answer> {
    const { method = 'GET', headers = {}, body = '' } = question
    const tenant = 'tenant' in question ? question.tenant : this.moduleId
    const sent: Record<string, string> = {}
    for (const [name, value] of Object.entries({ 'x-foundry-module-id': tenant, ...headers })) {
      if (value !== undefined) sent[name] = value
    }
    const bytes = typeof body === 'string' ? this.#codec.utf8Encode(body) : body
    const answer = await this.#subject.request(method, target, sent, bytes)
    const text = this.#text(answer.body)
    return { ...answer, text, json: tryJson(text) }
  }

  #text(body: Uint8Array): string {
    try {
      return this.#codec.utf8Decode(body)
    } catch {
      return ''
    }
  }

  post(body: string | Uint8Array, headers: Question['headers'] = {}): Promise<Answer> {
    return this.ask('/v1/append', {
      method: 'POST',
      body,
      headers: { 'content-type': JSON_TYPE, ...headers },
    })
  }

  append(id: string, payload: unknown, question: Question = {}): Promise<Answer> {
    const body = JSON.stringify({ payload_id: id, payload })
    return this.ask('/v1/append', {
      method: 'POST',
      body,
      headers: { 'content-type': JSON_TYPE },
      ...question,
    })
  }

  /** Appends small records `r0`, `r1`, … in batches of these sizes. Returns the root hash at each size, and all leaf hashes. */
  async grow(sizes: readonly number[]): Promise<{ roots: Map<number, Hash>; leaves: Hash[] }> {
    const roots = new Map<number, Hash>()
    const leaves: Hash[] = []
    for (const size of sizes) {
      let body = ''
      for (let i = 0; i < size; i++, this.#appended++) {
        body += `{"payload_id":"r${this.#appended}","payload":{"i":${this.#appended}}}\n`
      }
      const { json } = await this.post(body, NDJSON)
      for (const { leaf_hash: leaf } of json.entries) leaves.push(leaf)
      roots.set(leaves.length, json.checkpoint.split('\n')[2])
    }
    return { roots, leaves }
  }

  /** Waits until the server accepts appends. */
  async ready(): Promise<void> {
    while ((await this.ask('/readyz')).status !== 200);
  }

  async reopen(how: 'stop' | 'kill'): Promise<void> {
    await this.#subject.reopen(how)
  }

  async advance(ms: number): Promise<void> {
    if (this.#subject.advance === undefined) throw new Error('the server under test has no adjustable clock')
    await this.#subject.advance(ms)
  }

  /** Verifies a checkpoint of the ledger with the key in the contract, and returns it. */
  async opened(note: string): Promise<Checkpoint> {
    if (this.#identity === undefined) {
      const { origin, vkeys } = (await this.ask('/v1/contract')).json
      this.#identity = { origin, vkey: vkeys[0] }
    }
    return this.openedBy(note, this.#identity.vkey, this.#identity.origin)
  }

  openedBy(note: string, vkey: string, origin: string): Checkpoint {
    return openCheckpoint(note, [verifierFromVkey(vkey, this.#crypto)], origin).checkpoint
  }

  /** Returns the audit record at `index`. The server records this read too. */
  async auditEntry(index: number): Promise<Json> {
    return (await this.ask(`/audit/v1/entries/${index + 1}`)).json
  }

  /** Returns the bytes of an entry. */
  async entry(index: number): Promise<Uint8Array> {
    const bundle = String(Math.floor(index / 256)).padStart(3, '0')
    const width = (index % 256) + 1
    const path = width === 256 ? bundle : `${bundle}.p/${width}`
    const entries = bundleFromBinary((await this.ask(`/tile/entries/${path}`)).body, width)
    return entries.at(-1) ?? new Uint8Array()
  }

  root(leaves: readonly Hash[]): Hash {
    const edge = new Edge()
    for (const leaf of leaves) edge.append(leaf, this.hasher)
    return edge.root(this.hasher)
  }

  base64(bytes: Uint8Array): string {
    return this.#codec.base64Encode(bytes)
  }

  digest(bytes: Uint8Array): string {
    return this.#codec.base64Encode(this.hasher.sha256(bytes))
  }
}

function tryJson(text: string): Json {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
