/** POST /mcp: the Model Context Protocol, where the envelope has a server of it. */
import { checkCharset } from './body-meaning.ts'
import type { Answer, Call } from './call.ts'
import { Problem } from './problem.ts'
import type { WireRequest } from './request.ts'

/** @throws Problem 400, 415 */
export function mcpHead(request: Pick<WireRequest, 'header'>): void {
  checkCharset(request.header('content-type') ?? '')
}

/**
 * Hands the request to the envelope's server. What that reads for the caller it asks of the wire, with the caller's subject and
 * roles: so it is allowed and recorded as any other read, and the route itself is not.
 */
export async function mcp(call: Call): Promise<Answer> {
  if (call.options.mcp === undefined) throw new Problem('no-route', 'no MCP here')
  return call.options.mcp(call)
}
