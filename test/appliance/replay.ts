// Replays the appliance's requests to Envelope A's core, with the same keys and with the times and identifiers that
// the appliance recorded.
import type { TestRuntime } from '@service-fs/ledger/testing'
import { nativeCodec, nativeCrypto } from '@service-fs/native/native'
import { parseEntry } from '@service-fs/format/entry'
import { signerFromKey, verifierFromVkey } from '@service-fs/tlog/keys'
import type { WireAnswer, WireSubject } from '@service-fs/wire/conformance-tools'
import { openInProcess, type InProcess, type TestKeys } from '@service-fs/wire/in-process'
import { MODULE_ID } from '../envelopes/core.ts'
import { posixPlace, testRuntime } from '../envelopes/cores.ts'
import { bytesOf, type Ask } from '../envelopes/history.ts'

/** Concurrent requests; or a power cut, possibly while the first answers arrive. */
export type Step = { asks: readonly Ask[] } | { cut: 'stop' | 'kill'; during?: readonly Ask[] }

/** A request and its answer. */
export interface Answered {
  ask: Ask
  answer: WireAnswer
  /** The number of the machine's boot, from 0. */
  life: number
  /** Whether other requests were in flight, so that the test cannot know which of them shared a commit. */
  among: boolean
  /** Whether it was sent during a power cut, and again after it. */
  again: boolean
}

/** An entry's identifier, time, and payload. */
interface Read {
  id: string
  time: string
  payload: Uint8Array
}

/** The entries of an export, in order; `prefix`: '' or `audit/`. */
export function entriesOf(files: ReadonlyMap<string, Buffer>, prefix: string): Read[] {
  const bundles = [...files.keys()].filter((path) => path.startsWith(`${prefix}tile/entries/`)).sort()
  return bundles.flatMap((path) => {
    const lines = (files.get(path) ?? '').toString().split('\n').slice(0, -1)
    return lines.map((line) => {
      const { header, payload } = parseEntry(nativeCodec.base64Decode(line), nativeCodec)
      return { id: header.id, time: header.time, payload }
    })
  })
}

export function put(subject: Pick<WireSubject, 'request'>, ask: Ask): Promise<WireAnswer> {
  const headers = { 'x-foundry-module-id': MODULE_ID, ...ask.headers }
  return subject.request(ask.method, ask.target, headers, bytesOf(ask.body ?? ''))
}

/** Plays the steps; requests in flight during a cut are sent again after it. Returns the answers in the ledgers' order. */
export async function drive(subject: WireSubject, steps: readonly Step[]): Promise<Answered[]> {
  const answered: Answered[] = []
  let life = 0
  for (const what of steps) {
    if ('cut' in what) {
      life += 1
      const { cut, during = [] } = what
      const lost = during.map((ask) => put(subject, ask).catch(() => undefined))
      if (lost.length > 0) await lost[0]
      await subject.reopen(cut)
      await Promise.all(lost)
    }
    const asks = 'asks' in what ? what.asks : (what.during ?? [])
    const answers = await Promise.all(asks.map((ask) => put(subject, ask)))
    const some = asks.map((ask, i) => ({
      ask,
      answer: answers[i] as WireAnswer,
      life,
      among: asks.length > 1,
      again: 'cut' in what,
    }))
    answered.push(...some.sort((a, b) => placeOf(a.answer) - placeOf(b.answer)))
  }
  return answered
}

/** The index of the appended record or audit entry; -1 without one. */
function placeOf({ headers, body }: WireAnswer): number {
  return Number(headers['x-audit-index'] ?? appended({ body })[0]?.index ?? -1)
}

/** The places in an answer to an append. */
function appended({ body }: Pick<WireAnswer, 'body'>): { index: number; duplicate: boolean }[] {
  const text = Buffer.from(body).toString('latin1')
  const places = text.matchAll(
    /"index":(\d+),"parts":\d+,"leaf_hash":"[^"]+","time":"[^"]+","duplicate":(\w+)/g,
  )
  return [...places].map(([, index, duplicate]) => ({
    index: Number(index),
    duplicate: duplicate === 'true',
  }))
}

function keyOf(text: string): TestKeys['main'] {
  const signer = signerFromKey(text, nativeCrypto)
  return { signer, verifier: verifierFromVkey(signer.vkey, nativeCrypto) }
}

/** The index of the first record in an answer, or -1. */
function first({ answer }: Answered): number {
  return appended(answer)[0]?.index ?? -1
}

/** Envelope A's core in this process. */
export class Replay {
  readonly #place: Awaited<ReturnType<typeof posixPlace>>
  readonly #keys: TestKeys
  readonly #main: readonly Read[]
  readonly #audit: readonly Read[]
  readonly #runtime: TestRuntime
  readonly #answered: readonly Answered[]
  #server: InProcess | undefined
  #known = 0
  #life = -1
  /** The next readings of the clock, in ms, and the next identifiers. */
  #times: number[] = []
  #ids: string[] = []

  private constructor(
    place: Awaited<ReturnType<typeof posixPlace>>,
    keys: TestKeys,
    exported: ReadonlyMap<string, Buffer>,
    answered: readonly Answered[],
  ) {
    this.#place = place
    this.#answered = answered
    this.#keys = keys
    this.#main = entriesOf(exported, '')
    this.#audit = entriesOf(exported, 'audit/')
    // A ledger reads the clock when it opens, before the first request.
    this.#times = [Date.parse((this.#audit[0] as Read).time)]
    const now = (): number => (this.#times.length > 1 ? this.#times.shift() : this.#times[0]) ?? Number.NaN
    this.#runtime = Object.assign(testRuntime(), { now })
  }

  /** `keys`: the texts of the private keys; `exported`: the appliance's export. */
  static async open(
    keys: { main: string; audit: string },
    exported: ReadonlyMap<string, Buffer>,
    answered: readonly Answered[],
  ): Promise<Replay> {
    const place = await posixPlace()
    return new Replay(place, { main: keyOf(keys.main), audit: keyOf(keys.audit) }, exported, answered)
  }

  get directory(): string {
    return this.#place.directory
  }

  /** Sends the request again. */
  async ask({ ask, answer, life }: Answered): Promise<WireAnswer> {
    if (life !== this.#life) {
      await this.#restart()
      await this.#appendLost(life)
    }
    this.#life = life
    this.#prepare(ask, answer)
    return put(this.#server as InProcess, ask)
  }

  /** Sets the clock and the identifiers for a request that had this answer. */
  #prepare(ask: Ask, answer: WireAnswer): void {
    const { 'x-foundry-request-id': id = '', 'x-audit-index': index } = answer.headers
    this.#ids = ask.headers?.['x-foundry-request-id'] === undefined ? [id] : []
    // A record is new if its index is after those of all earlier ones. Its answer may have come after the power cut.
    const places = appended(answer)
    const fresh = places.find((place) => place.index >= this.#known)
    const times = fresh === undefined ? [] : [(this.#main[fresh.index] as Read).time]
    if (fresh !== undefined) this.#known = Math.max(...places.map((place) => place.index)) + 1
    // An append that reveals existing records is followed by an audit entry, like a read.
    if (index !== undefined) {
      const read = this.#audit[Number(index)] as Read
      const { when } = JSON.parse(Buffer.from(read.payload).toString()) as { when: string }
      times.push(when, read.time)
      this.#ids.push(read.id.slice(`read-${id}-`.length))
    }
    if (times.length > 0) this.#times = times.map((time) => Date.parse(time))
  }

  /** Records that were durable but unanswered before the power cut: the repeated request found them. */
  async #appendLost(life: number): Promise<void> {
    const lost = this.#answered.filter(
      (one) =>
        one.life === life &&
        one.again &&
        first(one) >= this.#known &&
        appended(one.answer).every(({ duplicate }) => duplicate),
    )
    for (const one of lost.sort((a, b) => first(a) - first(b))) {
      this.#times = [Date.parse((this.#main[first(one)] as Read).time)]
      this.#ids = ['not answered']
      await put(this.#server as InProcess, one.ask)
      this.#known = Math.max(...appended(one.answer).map(({ index }) => index)) + 1
    }
  }

  async #restart(): Promise<void> {
    await this.#place.drop()
    this.#server = await openInProcess({
      moduleId: MODULE_ID,
      keys: this.#keys,
      storages: await this.#place.open(),
      runtime: this.#runtime,
      requestId: () => this.#ids.shift() ?? 'none is left',
    })
  }

  async close(): Promise<void> {
    await this.#server?.close()
    await this.#place.drop()
  }

  async dispose(): Promise<void> {
    await this.#place.drop()
    await this.#place.dispose()
  }
}
