// An envelope's core under test, and a player of histories to two of them.

import type { WireAnswer } from '@service-fs/wire/conformance-tools'
import { messageOf } from '@service-fs/format/errors'
import { bytesOf, described, type Ask, type Body, type History, type Step } from './history.ts'

/** A server with its own ledger. The test controls its clock and randomness. */
export interface Core {
  request(
    method: string,
    target: string,
    headers: Readonly<Record<string, string>>,
    body: Uint8Array,
  ): Promise<WireAnswer>
  /** Moves the wall clock. */
  advance(ms: number): Promise<void>
  restart(how: 'stop' | 'kill'): Promise<void>
  /** Stops the core cleanly, and returns the paths and texts of an export of the ledger and its audit sub-ledger. */
  export(): Promise<Map<string, string>>
  dispose(): Promise<void>
}

/** Headers that must be equal; the transport sets the others. */
const HEADERS = ['content-type', 'cache-control', 'x-audit-index', 'x-next-cursor', 'x-foundry-request-id']
HEADERS.push('retry-after', 'allow')

export const MODULE_ID = 'acme'

/** Plays the history to both, step by step; throws at the first difference in answers or exports. */
export async function playBoth(history: History, a: Core, b: Core): Promise<void> {
  const player = new Player(a, b)
  for (const [i, step] of history.entries()) {
    await player.play(step).catch((error: unknown) => {
      throw new Error(`step ${i + 1}, ${described(step)}: ${messageOf(error)}`, { cause: error })
    })
  }
  const one = await a.export()
  const other = await b.export()
  compare('paths of the export', [...one.keys()].join('\n'), [...other.keys()].join('\n'))
  for (const [path, text] of one) compare(path, text, other.get(path))
}

class Player {
  readonly #cores: readonly [Core, Core]
  /** The sizes of the two trees that are known from answers. */
  #size = 0
  #auditSize = 0
  #bursts = 0
  #cuts = 0

  constructor(a: Core, b: Core) {
    this.#cores = [a, b]
  }

  async play(step: Step): Promise<void> {
    switch (step.do) {
      case 'ask':
        return this.#ask(step, [])
      case 'burst':
        return this.#burst(step.count)
      case 'clock':
        await this.#both((core) => core.advance(step.ms))
        return
      case 'restart':
        return this.#restart(step.how)
      case 'cut':
        return this.#cut(step.ask)
    }
  }

  /** `loose` names the members of the answer that may differ. */
  async #ask(ask: Ask, loose: readonly string[]): Promise<void> {
    const target = this.#filledIn(ask.target)
    const [a, b] = await this.#both((core) => put(core, { ...ask, target }))
    this.#compare(a, b, loose)
    this.#learn(a)
  }

  #compare(a: WireAnswer, b: WireAnswer, loose: readonly string[]): void {
    compare('status', `${a.status}`, `${b.status}`)
    for (const name of HEADERS) compare(name, a.headers[name], b.headers[name])
    compare('body', textOf(a, loose), textOf(b, loose))
  }

  /** Both ledgers hold all records in the order of the requests; each envelope decides which of them share a commit. */
  async #burst(count: number): Promise<void> {
    const asks = Array.from({ length: count }, (_, i): Ask => {
      const headers = { 'content-type': 'application/json', 'x-foundry-request-id': `burst-${i}` }
      const body = `{"payload_id":"burst ${this.#bursts} ${i}","payload":${i}}`
      return { do: 'ask', method: 'POST', target: '/v1/append', headers, body }
    })
    this.#bursts += 1
    const [a, b] = await this.#both((core) => Promise.all(asks.map((ask) => put(core, ask))))
    for (const [i, answer] of a.entries()) this.#compare(answer, b[i] as WireAnswer, ['checkpoint'])
    this.#size += a.filter(({ status }) => status === 200).length
  }

  /**
   * Timing decides whether the append reached the ledger; if it did not, the test repeats it. Its identifiers are new. The test
   * does not repeat an append that is present, because the audit records appends that reveal existing records.
   */
  async #cut(given: Ask): Promise<void> {
    const ask = this.#renamed(given)
    const [before] = await this.#both(sizeOf)
    const lost = this.#cores.map((core) => put(core, ask).catch(() => undefined))
    await this.#restart('kill')
    const sizes = await this.#both(sizeOf)
    for (const [i, core] of this.#cores.entries()) if (sizes[i] === before) await put(core, ask)
    const [a, b] = await this.#both((core) => put(core, CHECKPOINT))
    this.#compare(a, b, [])
    this.#size = Number(Buffer.from(a.body).toString().split('\n')[1])
    void Promise.all(lost)
  }

  #renamed({ headers = {}, body, ...ask }: Ask): Ask {
    this.#cuts += 1
    const id = headers['x-payload-id']
    const mark = `cut-${this.#cuts}-`
    return {
      ...ask,
      headers: {
        ...headers,
        'x-foundry-request-id': `cut-${this.#cuts}`,
        ...(id === undefined ? {} : { 'x-payload-id': mark + id }),
      },
      ...(body === undefined ? {} : { body: marked(body, mark) }),
    }
  }

  /** One after the other: a starting child process briefly holds this process's file locks. */
  async #restart(how: 'stop' | 'kill'): Promise<void> {
    for (const core of this.#cores) await core.restart(how)
  }

  #both<T>(act: (core: Core) => Promise<T>): Promise<[T, T]> {
    return Promise.all([act(this.#cores[0]), act(this.#cores[1])])
  }

  #filledIn(target: string): string {
    return target.replace(/<(a?)size(?:([-+%/])(\d+))?(\+1)?>/g, (_, audit, operator, operand, more) => {
      const size = audit === 'a' ? this.#auditSize : this.#size
      const by = Number(operand ?? 0)
      const made =
        operator === '-' ? size - by : operator === '+' ? size + by : operator === '%' ? size % by : size / by
      return String(
        Math.max(0, Math.floor(operator === undefined ? size : made) + (more === undefined ? 0 : 1)),
      )
    })
  }

  #learn({ headers, body }: WireAnswer): void {
    const audited = headers['x-audit-index']
    if (audited !== undefined) this.#auditSize = Number(audited) + 1
    const size = /"checkpoint":"[^"\\]*\\n(\d+)\\n/.exec(Buffer.from(body).toString('latin1'))?.[1]
    if (size !== undefined) this.#size = Math.max(this.#size, Number(size))
  }
}

const CHECKPOINT: Ask = {
  do: 'ask',
  method: 'GET',
  target: '/v1/checkpoint',
  headers: { 'x-foundry-request-id': 'checkpoint' },
}

/** Returns the body with `mark` put before each record's identifier, if the body has any. */
function marked(body: Body, mark: string): Body {
  if (typeof body === 'string') return body.replaceAll('"payload_id":"', `"payload_id":"${mark}`)
  return 'from' in body ? { ...body, mark } : body
}

/** A request whose refusal states the size of the tree; the audit does not record refusals. */
const BEYOND: Ask = {
  do: 'ask',
  method: 'GET',
  target: `/v1/proof/inclusion?index=0&size=${Number.MAX_SAFE_INTEGER}`,
}

/** Returns the size of a core's tree without a recorded read: the audit must not depend on the moment of the cut. */
async function sizeOf(core: Core): Promise<number> {
  const { body } = await put(core, BEYOND)
  const { size } = JSON.parse(Buffer.from(body).toString()) as { size?: unknown }
  if (typeof size !== 'number') throw new Error(`no size in ${Buffer.from(body).toString()}`)
  return size
}

function put(core: Core, { method, target, headers = {}, body = '' }: Ask): Promise<WireAnswer> {
  const sent = { 'x-foundry-module-id': MODULE_ID, ...headers }
  return core.request(method, target, sent, bytesOf(body))
}

function textOf({ body }: WireAnswer, loose: readonly string[]): string {
  let text = Buffer.from(body).toString('latin1')
  for (const name of loose)
    text = text.replace(new RegExp(`"${name}":(?:"(?:[^"\\\\]|\\\\.)*"|\\w+)`, 'g'), '')
  return text
}

function compare(what: string, a: string | undefined, b: string | undefined): void {
  if (a === b) return
  const at = commonLength(a ?? '', b ?? '')
  const from = Math.max(0, at - 100)
  const shown = (text: string | undefined): string =>
    text === undefined ? 'none' : JSON.stringify(text.slice(from, from + 300))
  throw new Error(`${what} differ, from character ${at} on:\nA ${shown(a)}\nB ${shown(b)}`)
}

function commonLength(a: string, b: string): number {
  for (let at = 0; ; at++) if (at === a.length || a[at] !== b[at]) return at
}
