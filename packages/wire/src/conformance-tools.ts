/** What the wire protocol's conformance suite asks and looks at: a server under test, its answers, and how they are checked. */
import type { LedgerConformanceOptions } from '@service-fs/ledger/conformance'
import { openCheckpoint, type Checkpoint } from '@service-fs/tlog/checkpoint'
import { pureCodec } from '@service-fs/tlog/codec'
import { Edge } from '@service-fs/tlog/edge'
import { nobleHasher, type Hash } from '@service-fs/tlog/hash'
import { verifierFromVkey } from '@service-fs/tlog/keys'
import type { KeyCrypto } from '@service-fs/tlog/scheme'
import { bundleFromBinary } from '@service-fs/tlog/tile-text'
import { PROBLEMS, type ProblemCode } from './problem.ts'

export interface WireAnswer {
  readonly status: number
  /** Lower-case names. */
  readonly headers: Readonly<Record<string, string>>
  /** Without a content coding; empty for HEAD. */
  readonly body: Uint8Array
}

/** A server under test, with an empty ledger of its own. */
export interface WireSubject {
  /** `target` goes out as it is; header values have one character a byte. */
  readonly request: (
    method: string,
    target: string,
    headers: Readonly<Record<string, string>>,
    body: Uint8Array,
  ) => Promise<WireAnswer>
  /** Turns the server's wall clock by `ms` milliseconds, also back. Needed where the options say `clock`. */
  readonly advance?: (ms: number) => void | Promise<void>
  /** Starts the server again on the same ledger, after a clean stop or after none. */
  readonly reopen: (how: 'stop' | 'kill') => Promise<void>
  readonly dispose: () => Promise<void>
}

export interface WireConformanceOptions {
  readonly name: string
  readonly open: () => Promise<WireSubject>
  readonly test: LedgerConformanceOptions['test']
  /** The tenant that is served; default `acme`. */
  readonly moduleId?: string
  /** Whether the subjects have `advance`. */
  readonly clock?: boolean
  /** For checking what is answered: the machine's own hash, codec and Ed25519; by default those in ECMAScript alone. */
  readonly crypto?: KeyCrypto
}

export const JSON_TYPE: string = 'application/json'
export const NDJSON: Readonly<Record<string, string>> = { 'content-type': 'application/x-ndjson' }

export type Json = any

export interface Answer extends WireAnswer {
  /** The body as text; empty when it is no UTF-8. */
  readonly text: string
  /** The body as JSON; undefined when it is none. */
  readonly json: Json
}

export interface Question {
  readonly method?: string
  /** Undefined names none; default: the one that is served. */
  readonly tenant?: string | undefined
  readonly headers?: Readonly<Record<string, string | undefined>>
  readonly body?: string | Uint8Array
}

export interface Tools {
  readonly it: (name: string, test: (server: Server) => Promise<void>) => void
  readonly same: (actual: unknown, expected: unknown) => void
  /** Compares the members that `expected` has. */
  readonly like: (actual: Json, expected: Readonly<Record<string, unknown>>) => void
  /** Expects the problem document of this code, with these members. */
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

/** One case's server, and what to look at its answers with. */
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

  /** Appends small records `r0`, `r1`, … in batches of these sizes; the root hash at each size, and all leaf hashes. */
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

  /** Waits until the server takes appends. */
  async ready(): Promise<void> {
    for (let tries = 0; tries < 1000 && (await this.ask('/readyz')).status !== 200;) tries++
  }

  async reopen(how: 'stop' | 'kill'): Promise<void> {
    await this.#subject.reopen(how)
  }

  async advance(ms: number): Promise<void> {
    if (this.#subject.advance === undefined) throw new Error('the subject has no clock to turn')
    await this.#subject.advance(ms)
  }

  /** What a checkpoint of the ledger says, its signature checked with the key of the contract. */
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

  /** The record of the audit sub-ledger at `index`; reading it is recorded too. */
  async auditEntry(index: number): Promise<Json> {
    return (await this.ask(`/audit/v1/entries/${index + 1}`)).json
  }

  /** An entry's bytes. */
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
