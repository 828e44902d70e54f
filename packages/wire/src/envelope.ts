/** Routes that the envelope answers: health, readiness, metrics, and the Model Context Protocol. */
import { checkCharset } from './body-meaning.ts'
import { answer, jsonAnswer, type Answer, type Call } from './call.ts'
import { Problem } from './problem.ts'
import type { WireRequest } from './request.ts'

/** GET /healthz: the process answers. */
export async function healthz(): Promise<Answer> {
  return jsonAnswer('{"alive":true}')
}

/** GET /readyz: the ledger is open, its disk takes writes, the last commit is durable; 503 with the reason otherwise. */
export async function readyz(call: Call): Promise<Answer> {
  const { ready, reason, protections } = await call.options.ready()
  if (!ready) throw new Problem('not-ready', reason ?? 'not ready')
  return jsonAnswer(JSON.stringify({ ready, protections }))
}

/** GET /metrics: Prometheus text. */
export async function metrics(call: Call): Promise<Answer> {
  if (call.options.metrics === undefined) throw new Problem('no-route', 'this server has no metrics')
  const { contentType, text } = await call.options.metrics()
  return answer(contentType, text)
}

/** @throws Problem 400, 415 */
export function mcpHead(request: Pick<WireRequest, 'header'>): void {
  checkCharset(request.header('content-type') ?? '')
}

/**
 * Hands the request to the envelope's server. What that reads for the caller it asks of the wire, with the caller's subject and
 * roles: so it is allowed and recorded as any other read, and the route itself is not.
 */
export async function mcp(call: Call): Promise<Answer> {
  if (call.options.mcp === undefined) throw new Problem('no-route', 'this server has no MCP')
  return call.options.mcp(call)
}
