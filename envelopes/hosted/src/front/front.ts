/**
 * The front of a host: it authenticates requests, finds the tenant of each, and forwards them to the tenant's
 * process. It holds no ledger and no ledger key.
 */
import type { Listen } from '@service-fs/http/address'
import { performance } from 'node:perf_hooks'
import { isLocalName } from '@service-fs/wire/host-name'
import { Problem, problemResponse } from '@service-fs/wire/problem'
import type { Access } from '@service-fs/access/access'
import { isProof, provenSubject, misdirected } from '@service-fs/http/http'
import type { HttpServer, ListenerOptions } from '@service-fs/http/listener'
import { startClientListener } from './client-listener.ts'
import type { ClientRequest } from './client-request.ts'
import { refusalAnswer, refusedByHead } from './head-refusal.ts'
import { Forwarder, type ForwardLimits, type Tenants } from './forward.ts'
import { answerOwn, type Own } from './own.ts'
import { tenantNamed } from './tenant-name.ts'

export interface FrontOptions extends Own, Omit<ListenerOptions, 'report'> {
  listen: Listen
  access: Pick<Access, 'open' | 'check'>
  tenants: Tenants
  limits?: ForwardLimits
  /** Called for every response, with the tenant's moduleId if the tenant exists. */
  answered?(method: string, status: number, seconds: number, moduleId?: string): void
  /** Receives errors. */
  report(error: unknown): void
}

/** Starts the front. The server's `stop` ends the event streams. @throws HostedError `listen` */
export async function startFront(options: FrontOptions): Promise<HttpServer> {
  const forwarder = new Forwarder(options.tenants, options.limits)
  const server = await startClientListener(options.listen, options, (request) =>
    respond(request, options, forwarder),
  )
  return {
    url: server.url,
    updateTls: (tls) => server.updateTls(tls),
    async stop(ms) {
      const stopped = server.stop(ms)
      forwarder.stop()
      await stopped
      forwarder.close()
    },
  }
}

async function respond(request: ClientRequest, options: FrontOptions, forwarder: Forwarder): Promise<void> {
  const started = performance.now()
  const moduleId = tenantNamed(request)
  let isTold = false
  const answered = (status: number): void => {
    if (isTold) return
    isTold = true
    const known = typeof moduleId === 'string' && options.tenants.has(moduleId) ? moduleId : undefined
    options.answered?.(request.method, status, (performance.now() - started) / 1000, known)
  }
  const problem =
    moduleId instanceof Problem ? moduleId : await decide(request, moduleId, options, forwarder, answered)
  if (problem !== undefined && request.status === undefined) {
    // A client beyond the rate limit also loses its connection.
    if (problem.code === 'busy') request.closeAfter()
    await request.answer(problemResponse(problem))
  }
  if (request.status !== undefined) answered(request.status)
}

/** Answers the request, or returns the reason why it cannot. */
async function decide(
  request: ClientRequest,
  moduleId: string | undefined,
  options: FrontOptions,
  forwarder: Forwarder,
  answered: (status: number) => void,
): Promise<Problem | undefined> {
  const { access, tenants, listen } = options
  // Without credentials, a web page could use its visitor's browser to connect, so accept local host names only.
  const elsewhere =
    access.open && !('path' in listen) ? misdirected(request, { accepts: isLocalName }) : undefined
  if (elsewhere !== undefined) return elsewhere
  const identity = await access.check(request, moduleId)
  if (identity instanceof Problem) return identity
  if (isProof(identity)) options.connections?.proved(request.socket, provenSubject(identity))
  if (moduleId === undefined) return answerOwn(request, identity, options)
  if (!tenants.has(moduleId)) return new Problem('no-tenant', 'no such tenant here')
  const refused = refusedByHead(request, moduleId, identity)
  if (refused !== undefined) {
    await request.answer(refusalAnswer(request, refused))
    return undefined
  }
  // A stream's duration is not a latency, so report the response when the stream begins.
  return forwarder.forward(request, moduleId, identity, () => answered(200))
}
