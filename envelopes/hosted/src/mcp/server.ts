/**
 * POST /mcp: the Model Context Protocol over streamable HTTP, without sessions. A request is one message, a response one JSON
 * text.
 */
import { Server } from '@modelcontextprotocol/sdk/server/index.js'
import { WebStandardStreamableHTTPServerTransport } from '@modelcontextprotocol/sdk/server/webStandardStreamableHttp.js'
import {
  CallToolRequestSchema,
  ErrorCode,
  ListResourcesRequestSchema,
  ListResourceTemplatesRequestSchema,
  ListToolsRequestSchema,
  McpError,
  ReadResourceRequestSchema,
  type CallToolResult,
  type Tool as ListedTool,
} from '@modelcontextprotocol/sdk/types.js'
import { isRecorded } from '@service-fs/wire/audit'
import type { Answer, Call } from '@service-fs/wire/call'
import { allowanceFor, parseJson } from '@service-fs/wire/canonicaljson'
import { createWire, type Wire } from '@service-fs/wire/handle'
import { VERSION } from '../version.ts'
import { Caller, Refused } from './caller.ts'
import { readResource, resourcesOf, resourceTemplatesOf } from './resources.ts'
import { TOOLS, toolsOf, type Tool } from './tools.ts'

/** Returns the instructions for a model that uses the ledger. */
function instructionsFor({ options }: Call): string {
  const reads = isRecorded({ options, isAudit: false })
    ? "Each answer to a read is recorded in the ledger's audit sub-ledger, with the subject."
    : 'Reads are public and not recorded, except those of the audit sub-ledger.'
  return `A WORM ledger: records are appended and never changed or removed. ${reads} ledger.append adds a record, \
ledger.entries and ledger.record read, ledger.verify checks a record against the signed checkpoint.`
}

/** The code of "Resource not found" in the specification (Resources, Error Handling). */
const RESOURCE_NOT_FOUND = -32002
const AUDIT_INDEX = 'service-fs/audit-index'

/** The size at which a page of records ends. A model reads a page as one text. */
const PAGE_BYTES = 2 ** 20

/**
 * Returns the handler of /mcp for the server with these options. The handler reads and appends through its own wire
 * over the same ledgers; the wire checks roles and records reads.
 */
export function mcpServer({
  options,
  appendReads,
}: Pick<Call, 'options' | 'appendReads'>): (call: Call) => Promise<Answer> {
  const limits = { ...options.limits, maxEntriesBytes: PAGE_BYTES }
  const wire = createWire({ ...options, limits }, appendReads)
  return (call) => answer(call, wire)
}

async function answer(call: Call, wire: Wire): Promise<Answer> {
  const message = rpcMessage(call)
  if (message instanceof McpError) return errorAnswer(message)
  const caller = new Caller(call, wire)
  const server = serverFor(caller)
  const transport = new WebStandardStreamableHTTPServerTransport({ enableJsonResponse: true })
  await server.connect(transport)
  try {
    const response = await transport.handleRequest(headOf(call), { parsedBody: message })
    const headers: Record<string, string> = { 'cache-control': 'no-store' }
    const type = response.headers.get('content-type')
    if (type !== null) headers['content-type'] = type
    if (caller.auditIndexes.length > 0) headers['x-audit-index'] = caller.auditIndexes.join(', ')
    return { status: response.status, headers, body: await response.text(), compressible: true }
  } finally {
    await server.close()
  }
}

/** Parses the body as strictly as the wire does, so that no number and no name of a payload is lost before the append. */
function rpcMessage({ request, options, limits }: Call): unknown {
  try {
    const text = options.codec.utf8Decode(request.body)
    const message = parseJson(text, allowanceFor(text, limits.maxValues))
    if (!Array.isArray(message)) return withoutTask(message)
    return new McpError(ErrorCode.InvalidRequest, 'expected one message, found a batch')
  } catch (error) {
    return new McpError(ErrorCode.ParseError, error instanceof Error ? error.message : 'expected JSON')
  }
}

/** Ignores a request for a task, because this server has no tasks (specification, "Tasks", Capability Negotiation). */
function withoutTask(message: unknown): unknown {
  const params = isObject(message) ? message['params'] : undefined
  if (isObject(params)) delete params['task']
  return message
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null
}

function errorAnswer({ code, message }: McpError): Answer {
  const headers = { 'content-type': 'application/json', 'cache-control': 'no-store' }
  return {
    status: 400,
    headers,
    body: JSON.stringify({ jsonrpc: '2.0', error: { code, message }, id: null }),
  }
}

/** Returns the header fields that the transport reads. */
function headOf({ request }: Call): Request {
  const headers = new Headers()
  for (const name of ['accept', 'content-type', 'mcp-protocol-version']) {
    const value = request.header(name)
    if (value !== undefined) headers.set(name, value)
  }
  return new Request('http://localhost/mcp', { method: 'POST', headers })
}

/** Validates nothing, because this server sends no requests to its clients. */
const NO_VALIDATOR = {
  getValidator: () => () => ({
    valid: false as const,
    data: undefined,
    errorMessage: 'nothing is validated here',
  }),
}

function serverFor(caller: Caller): Server {
  const server = new Server(
    { name: 'service-fs', title: 'service-fs', version: VERSION },
    {
      capabilities: { tools: {}, resources: {} },
      instructions: instructionsFor(caller.call),
      jsonSchemaValidator: NO_VALIDATOR,
    },
  )
  server.setRequestHandler(ListToolsRequestSchema, () => ({ tools: toolsOf(caller).map(describe) }))
  server.setRequestHandler(CallToolRequestSchema, ({ params }) =>
    callTool(caller, params.name, params.arguments ?? {}),
  )
  server.setRequestHandler(ListResourcesRequestSchema, () => ({ resources: resourcesOf(caller) }))
  server.setRequestHandler(ListResourceTemplatesRequestSchema, () => ({
    resourceTemplates: resourceTemplatesOf(caller),
  }))
  server.setRequestHandler(ReadResourceRequestSchema, ({ params }) => read(caller, params.uri))
  return server
}

function describe({ name, title, description, inputSchema, writes }: Tool): ListedTool {
  const hints = { readOnlyHint: !writes, destructiveHint: false, idempotentHint: true, openWorldHint: false }
  return { name, title, description, inputSchema, annotations: { title, ...hints } }
}

/** Runs a tool. The result of a refused call is the problem document (RFC 9457), so that the model sees it. */
async function callTool(
  caller: Caller,
  name: string,
  values: Record<string, unknown>,
): Promise<CallToolResult> {
  const tool = TOOLS.find((one) => one.name === name)
  if (tool === undefined) throw new McpError(ErrorCode.InvalidParams, `no tool ${name.slice(0, 100)}`)
  try {
    const text = await tool.run(caller, values)
    return { content: [{ type: 'text', text }], ...recorded(caller) }
  } catch (error) {
    if (!(error instanceof Refused)) throw error
    return { content: [{ type: 'text', text: error.document }], isError: true, ...recorded(caller) }
  }
}

async function read(
  caller: Caller,
  uri: string,
): Promise<{ contents: { uri: string; mimeType: string; text: string }[] }> {
  try {
    const { type, text } = await readResource(caller, uri)
    return { contents: [{ uri, mimeType: type, text }], ...recorded(caller) }
  } catch (error) {
    if (!(error instanceof Refused)) throw error
    const { status, message, document } = error
    const code =
      status === 404 ? RESOURCE_NOT_FOUND : status < 500 ? ErrorCode.InvalidParams : ErrorCode.InternalError
    throw new McpError(code, message, JSON.parse(document))
  }
}

/** Returns the indexes of the audit entries that record this call. */
function recorded({ auditIndexes }: Caller): { _meta?: Record<string, unknown> } {
  return auditIndexes.length === 0 ? {} : { _meta: { [AUDIT_INDEX]: auditIndexes } }
}
