/** Helpers for the tests of this package: a wire over ledgers in memory, without a network. */
import { openTestLedger } from '@service-fs/ledger/testing'
import { pureCodec } from '@service-fs/tlog/codec'

import type { WireLedger, WireOptions } from './call.ts'
import { createWire, type Wire } from './handle.ts'
import type { WireResponse } from './request.ts'

const JSON_TYPE = { 'content-type': 'application/json' }

export interface Asked {
  status: number
  headers: Record<string, string>
  text: string
  bytes: Uint8Array
  json: any
}

export interface Harness {
  wire: Wire
  ledger: WireLedger
  audit: WireLedger
  /** Sends a request as tenant `acme`. `headers` can override a header; `undefined` removes it. */
  ask(target: string, options?: AskOptions): Promise<Asked>
  append(id: string, payload: unknown): Promise<Asked>
  reports: unknown[]
}

export interface AskOptions {
  method?: string
  headers?: Record<string, string | undefined>
  body?: string | Uint8Array
}

export async function harness(
  change: (options: WireOptions) => Partial<WireOptions> = () => ({}),
): Promise<Harness> {
  const ledger = await openTestLedger({ origin: 'example.org/ledger/acme' })
  const audit = await openTestLedger({ origin: 'example.org/ledger/acme/audit' })
  const reports: unknown[] = []
  let requests = 0
  const options: WireOptions = {
    moduleId: 'acme',
    ledger,
    audit,
    codec: pureCodec,
    now: () => 1_800_000_000_000,
    after: () => () => undefined,
    requestId: () => `r${++requests}`,
    ready: async () => ({ ready: true }),
    version: '0.0.0',
    report: (error) => reports.push(error),
  }
  const wire = createWire({ ...options, ...change(options) })
  const ask = async (
    target: string,
    { method = 'GET', headers = {}, body = '' }: AskOptions = {},
  ): Promise<Asked> => {
    const sent: Record<string, string | undefined> = {
      'x-foundry-module-id': 'acme',
      ...(method === 'POST' ? JSON_TYPE : {}),
      ...headers,
    }
    const response = await wire.handle({
      method,
      target,
      header: (name) => sent[name],
      body: typeof body === 'string' ? pureCodec.utf8Encode(body) : body,
    })
    return asked(response)
  }
  const append = (id: string, payload: unknown): Promise<Asked> =>
    ask('/v1/append', { method: 'POST', body: JSON.stringify({ payload_id: id, payload }) })
  return { wire, ledger, audit, ask, append, reports }
}

function asked(response: WireResponse): Asked {
  const { status, headers, body } = response
  if (typeof body !== 'string' && !(body instanceof Uint8Array)) throw new Error('expected a whole body')
  const bytes = typeof body === 'string' ? pureCodec.utf8Encode(body) : body
  const isText = /^(?:text|application\/(?:problem\+|x-nd)?json)/.test(headers['content-type'] ?? '')
  const text = isText ? pureCodec.utf8Decode(bytes) : ''
  return {
    status,
    headers,
    bytes,
    text,
    json: headers['content-type']?.endsWith('json') === true ? tryJson(text) : undefined,
  }
}

function tryJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
