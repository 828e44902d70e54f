/** A server without a transport, for tests: the wire over a ledger and its audit sub-ledger, connected as in both envelopes. */
import type { Ledger } from '@service-fs/ledger/ledger'
import type { LedgerLimits } from '@service-fs/ledger/limits'
import { openLedger } from '@service-fs/ledger/open'
import type { LedgerOptions } from '@service-fs/ledger/options'
import type { Runtime } from '@service-fs/ledger/runtime'
import {
  formatSignerKey,
  signerFromKey,
  verifierFromVkey,
  type KeySigner,
  type KeyVerifier,
} from '@service-fs/tlog/keys'
import type { KeyCrypto } from '@service-fs/tlog/scheme'

import { tooLarge } from './body-limits.ts'
import type { WireAnswer, WireSubject } from './conformance-tools.ts'
import { createWire, type Wire } from './handle.ts'
import type { Limits } from './limits.ts'
import { problemResponse } from './problem.ts'
import type { Coding, WireResponse } from './request.ts'

export interface InProcessOptions {
  readonly moduleId: string
  readonly keys: TestKeys
  readonly storages: Readonly<Record<'main' | 'audit', LedgerOptions['storage']>>
  readonly runtime: Runtime
  /** Returns an identifier that is unique even after reopening. */
  readonly requestId: () => string
  readonly limits?: NonNullable<LedgerOptions['limits']>
  /** Returns limits of the wire for the limits of the ledger. */
  readonly wireLimits?: (limits: LedgerLimits) => Partial<Limits>
  /** Content codings that the server in front of the wire decodes. Default: none. */
  readonly codings?: readonly Coding[]
}

export interface InProcess {
  readonly wire: Wire
  readonly main: Ledger
  readonly audit: Ledger
  /** Responds as a server does: 413 to a body over its limit, and no body to HEAD. */
  readonly request: WireSubject['request']
  /** Stops both ledgers cleanly. */
  readonly close: () => Promise<void>
}

/** The signers and verifiers of both ledgers' checkpoints. */
export type TestKeys = Readonly<
  Record<'main' | 'audit', { readonly signer: KeySigner; readonly verifier: KeyVerifier }>
>

/** Returns test keys that depend on `origin` only. The origin of the audit sub-ledger is `<origin>/audit`. */
export function testKeys(origin: string, crypto: KeyCrypto = {}): TestKeys {
  const key = (name: string, seed: number): TestKeys['main'] => {
    const text = formatSignerKey({ name, type: 1, seed: new Uint8Array(32).fill(seed) }, crypto)
    const signer = signerFromKey(text, crypto)
    return { signer, verifier: verifierFromVkey(signer.vkey, crypto) }
  }
  return { main: key(origin, 7), audit: key(`${origin}/audit`, 8) }
}

/** Opens the audit sub-ledger, then the ledger. Resolves when both accept appends. */
export async function openInProcess(options: InProcessOptions): Promise<InProcess> {
  const { moduleId, keys, storages, runtime, requestId, limits = {}, wireLimits, codings = [] } = options
  const open = (name: 'main' | 'audit'): Promise<Ledger> => {
    const { signer, verifier } = keys[name]
    const origin = signer.name
    return openLedger({
      storage: storages[name],
      origin,
      signer,
      verifiers: [verifier],
      runtime,
      limits,
    })
  }
  const audit = await open('audit')
  const main = await open('main')
  await Promise.all([audit.ready(), main.ready()])
  const wire = createWire({
    moduleId,
    ledger: main,
    audit,
    codec: runtime.codec,
    now: () => runtime.now(),
    after: (ms, run) => runtime.after(ms, run),
    requestId,
    ready: async () => ({ ready: main.status().accepting && audit.status().accepting }),
    version: '0.0.0',
    codings,
    limits: {
      maxPayload: main.limits.maxPayloadBytes,
      maxBatch: main.limits.maxBatchRecords,
      ...wireLimits?.(main.limits),
    },
  })
  return {
    wire,
    main,
    audit,
    request: (...question) => ask(wire, runtime, ...question),
    async close() {
      wire.drain()
      await audit.close()
      await main.close()
    },
  }
}

async function ask(
  wire: Wire,
  { codec }: Runtime,
  method: string,
  target: string,
  headers: Readonly<Record<string, string>>,
  sent: Uint8Array,
): Promise<WireAnswer> {
  const head = { method, target, header: (name: string) => headers[name] }
  const limit = wire.bodyLimit(head)
  const answer =
    method === 'POST' && sent.length > limit
      ? problemResponse(tooLarge(limit, String(sent.length)))
      : await wire.handle({ ...head, body: sent })
  const { status, body } = answer
  const bytes = method === 'HEAD' ? '' : await whole(body)
  return {
    status,
    headers: answer.headers,
    body: typeof bytes === 'string' ? codec.utf8Encode(bytes) : bytes,
  }
}

async function whole(body: WireResponse['body']): Promise<string | Uint8Array> {
  if (typeof body === 'string' || body instanceof Uint8Array) return body
  const bytes: number[] = []
  for await (const piece of body) for (const byte of piece as Uint8Array) bytes.push(byte)
  return Uint8Array.from(bytes)
}
