/** Calls the wire in this process for an MCP client, with the subject and the roles of the client's request. */
import type { Call } from '@service-fs/wire/call'
import type { Wire } from '@service-fs/wire/handle'
import { problemResponse, type Problem } from '@service-fs/wire/problem'
import type { WireRequest, WireResponse } from '@service-fs/wire/request'
import type { Role } from '@service-fs/wire/roles'

/** A response of the wire with a status below 400. */
export interface Answered {
  /** The media type, with its parameters. */
  readonly type: string
  readonly text: string
  /** The index of the audit entry that records the call; undefined for an append that reveals no existing record. */
  readonly auditIndex: number | undefined
}

/** The wire refused the call. `document` is the problem document (RFC 9457) as JSON. */
export class Refused extends Error {
  readonly status: number
  readonly document: string

  constructor(status: number, document: string) {
    super(detailOf(document))
    this.name = 'Refused'
    this.status = status
    this.document = document
  }

  /** Returns a refusal that does not come from the wire. */
  static of(problem: Problem): Refused {
    const { status, body } = problemResponse(problem)
    return new Refused(status, body)
  }
}

function detailOf(document: string): string {
  const { detail } = JSON.parse(document) as { detail?: string }
  return detail ?? 'refused'
}

export class Caller {
  readonly call: Call
  /** The indexes of the audit entries that recorded the calls so far. */
  readonly auditIndexes: number[] = []
  readonly #wire: Pick<Wire, 'handle'>

  constructor(call: Call, wire: Pick<Wire, 'handle'>) {
    this.call = call
    this.#wire = wire
  }

  get moduleId(): string {
    return this.call.options.moduleId
  }

  /** Reports whether the caller has one of these roles. If no credentials are configured, every caller has all roles. */
  may(...wanted: readonly Role[]): boolean {
    const { roles } = this.call.request
    return roles === undefined || wanted.some((role) => roles.includes(role))
  }

  /** Reads `target`, a path and query. @throws Refused */
  get(target: string, accept = 'application/json'): Promise<Answered> {
    return this.#ask('GET', target, { accept }, new Uint8Array(0))
  }

  /** Posts JSON. @throws Refused */
  post(target: string, body: string): Promise<Answered> {
    const { codec } = this.call.options
    return this.#ask('POST', target, { 'content-type': 'application/json' }, codec.utf8Encode(body))
  }

  async #ask(
    method: string,
    target: string,
    fields: Readonly<Record<string, string>>,
    body: Uint8Array,
  ): Promise<Answered> {
    const { request, requestId } = this.call
    const headers: Record<string, string> = {
      ...fields,
      'x-foundry-module-id': this.moduleId,
      'x-foundry-request-id': requestId,
    }
    const inner: WireRequest = { method, target, header: (name) => headers[name], body, via: 'mcp' }
    if (request.subject !== undefined) inner.subject = request.subject
    if (request.roles !== undefined) inner.roles = request.roles
    const response = await this.#wire.handle(inner)
    const text = this.#textOf(response)
    const index = response.headers['x-audit-index']
    const auditIndex = index === undefined ? undefined : Number(index)
    if (auditIndex !== undefined) this.auditIndexes.push(auditIndex)
    if (response.status >= 400) throw new Refused(response.status, text)
    return { type: response.headers['content-type'] ?? '', text, auditIndex }
  }

  #textOf({ body }: WireResponse): string {
    if (typeof body === 'string') return body
    if (body instanceof Uint8Array) return this.call.options.codec.utf8Decode(body)
    throw new Error('expected a whole body')
  }
}
