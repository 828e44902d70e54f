/**
 * The front of a host: it takes requests, asks who sends them and which tenant they are for, and forwards them to the tenant's process.
 * It holds no ledger and no key of one.
 */
import type { Listen } from '@service-fs/http/address'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { performance } from 'node:perf_hooks'
import { isLocalName } from '@service-fs/wire/host-name'
import { Problem, problemResponse } from '@service-fs/wire/problem'
import type { Access } from '@service-fs/access/access'
import { sendAnswer } from '@service-fs/http/answer'
import { isProof, provenSubject, misdirected } from '@service-fs/http/http'
import { startListener, type HttpServer, type ListenerOptions } from '@service-fs/http/listener'
import { refusalAnswer, refusedByHead } from './head-refusal.ts'
import { Forwarder, type ForwardLimits, type Tenants } from './forward.ts'
import { answerOwn, type Own } from './own.ts'
import { tenantNamed } from './tenant-name.ts'

export interface FrontOptions extends Own, Omit<ListenerOptions, 'report'> {
  listen: Listen
  access: Pick<Access, 'open' | 'check'>
  tenants: Tenants
  limits?: ForwardLimits
  /** Told of every answer, its tenant's moduleId included where there is such a tenant. */
  answered?(method: string, status: number, seconds: number, moduleId?: string): void
  /** Told of what went wrong. */
  report(error: unknown): void
}

/** Listens. Stopped, it ends answers that have no end of their own. @throws HostedError `listen` */
export async function startFront(options: FrontOptions): Promise<HttpServer> {
  const forwarder = new Forwarder(options.tenants, options.limits)
  const server = await startListener(options.listen, options, (raw, out) =>
    respond(raw, out, options, forwarder),
  )
  return {
    url: server.url,
    updateTls: (tls) => server.updateTls(tls),
    async stop(ms) {
      const stopped = server.stop(ms)
      forwarder.stop()
      await stopped
      await forwarder.close()
    },
  }
}

async function respond(
  raw: IncomingMessage,
  out: ServerResponse,
  options: FrontOptions,
  forwarder: Forwarder,
): Promise<void> {
  const started = performance.now()
  const moduleId = tenantNamed(raw)
  let isTold = false
  const answered = (status: number): void => {
    if (isTold) return
    isTold = true
    const known = typeof moduleId === 'string' && options.tenants.has(moduleId) ? moduleId : undefined
    options.answered?.(raw.method ?? '', status, (performance.now() - started) / 1000, known)
  }
  const problem =
    moduleId instanceof Problem ? moduleId : await decide(raw, out, moduleId, options, forwarder, answered)
  if (problem !== undefined && !out.headersSent) {
    // Who is one too many does not keep a connection either.
    if (problem.code === 'busy') out.shouldKeepAlive = false
    await sendAnswer(raw, out, problemResponse(problem))
  }
  if (out.headersSent) answered(out.statusCode)
}

/** Answers, or says why not. */
async function decide(
  raw: IncomingMessage,
  out: ServerResponse,
  moduleId: string | undefined,
  options: FrontOptions,
  forwarder: Forwarder,
  answered: (status: number) => void,
): Promise<Problem | undefined> {
  const { access, tenants, listen } = options
  // A browser sends no token by itself; where none is asked for, a page must not get in by its visitor's.
  const elsewhere = misdirected(raw, access.open && !('path' in listen) ? { accepts: isLocalName } : {})
  if (elsewhere !== undefined) return elsewhere
  const identity = await access.check(raw, moduleId)
  if (identity instanceof Problem) return identity
  if (isProof(identity)) options.connections?.proved(raw.socket, provenSubject(identity))
  if (moduleId === undefined) return answerOwn(raw, out, identity, options)
  if (!tenants.has(moduleId)) return new Problem('no-tenant', 'no such tenant here')
  const refused = refusedByHead(raw, moduleId, identity)
  if (refused !== undefined) {
    await sendAnswer(raw, out, refusalAnswer(raw, refused))
    return undefined
  }
  // How long a stream goes on says nothing: its answer counts as given when it begins.
  return forwarder.forward(raw, out, moduleId, identity, () => answered(200))
}
