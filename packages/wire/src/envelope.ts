/** Routes that the envelope answers: health, readiness, metrics, and the Model Context Protocol. */
import { checkCharset } from './body-meaning.ts'
import { answer, jsonAnswer, type Answer, type Call } from './call.ts'
import { Problem } from './problem.ts'
import type { WireRequest } from './request.ts'

/** GET /healthz: the process is running. */
export async function healthz(): Promise<Answer> {
  return jsonAnswer('{"alive":true}')
}

/** GET /readyz: the ledger is open, its disk accepts writes, and the last commit is durable. Else 503 with the reason. */
export async function readyz(call: Call): Promise<Answer> {
  const { ready, reason, protections, scrub } = await call.options.ready()
  if (!ready) throw new Problem('not-ready', reason ?? 'not ready')
  return jsonAnswer(JSON.stringify({ ready, protections, scrub }))
}

/** GET /metrics: metrics in the text format of Prometheus. */
export async function metrics(call: Call): Promise<Answer> {
  if (call.options.metrics === undefined) throw new Problem('no-route', 'this server has no metrics')
  const { contentType, text } = await call.options.metrics()
  return answer(contentType, text)
}

/** Rejects headers of POST /mcp that are wrong for every body. @throws Problem 400, 415 */
export function mcpHead(request: Pick<WireRequest, 'header'>): void {
  checkCharset(request.header('content-type') ?? '')
}

/**
 * POST /mcp: passes the request to the envelope's MCP server. That server reads through the wire, with the subject and the roles
 * of the caller. So the wire checks and records those reads, and does not record this route.
 */
export async function mcp(call: Call): Promise<Answer> {
  if (call.options.mcp === undefined) throw new Problem('no-route', 'this server has no MCP')
  return call.options.mcp(call)
}
