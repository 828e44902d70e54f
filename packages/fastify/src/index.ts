/**
 * A Fastify plugin that serves a service-fs ledger over HTTP: `app.register(serviceFs, { wire })`. It answers every route of the
 * wire (docs/wire.md), with the daemon's limits on bodies and answers, and does not change other routes.
 *
 * @packageDocumentation
 */
import type { IncomingMessage } from 'node:http'
import type { Server } from 'node:net'
import { isDisconnect, sendAnswer } from '@service-fs/http/answer'
import { headProblem } from '@service-fs/http/head'
import { wireHandler, type Identity, type WireHttpOptions } from '@service-fs/http/http'
import { problemResponse, type Problem } from '@service-fs/wire/problem'
import { splitTarget } from '@service-fs/wire/request'
import type {
  FastifyError,
  FastifyInstance,
  FastifyReply,
  FastifyRequest,
  FastifyServerOptions,
} from 'fastify'

export type { Identity } from '@service-fs/http/http'

export interface ServiceFsOptions extends Omit<WireHttpOptions, 'prefix' | 'authenticate'> {
  /**
   * Returns the subject and the roles of a request, or the problem to answer instead. The plugin calls it before it reads the
   * body. Default: every client that reaches the route may do everything.
   */
  authenticate?: (request: FastifyRequest) => Promise<Identity | Problem> | Identity | Problem
}

type Answer = (request: FastifyRequest, reply: FastifyReply) => void

/** The wires that each server has, by prefix. */
const mounts = new WeakMap<Server, Map<string, Answer>>()

/**
 * The plugin. Its `prefix` is the path before the routes. Hooks of the application run before a request reaches the wire, and
 * `onResponse` after it; `onSend` does not run, because the wire writes its answers itself.
 * Registration fails with a TypeError for a prefix with parameters.
 */
export function serviceFs(
  app: FastifyInstance,
  options: ServiceFsOptions,
  done: (error?: Error) => void,
): void {
  const { prefix, server } = app
  if (/[:*()]/.test(prefix)) {
    done(new TypeError(`prefix: expected a path without parameters, found ${prefix}`))
    return
  }
  const answer = answerer(app, options)
  const mounted = mounts.get(server) ?? new Map<string, Answer>()
  mounts.set(server, mounted.set(prefix, answer))

  // The wire decides from the head how much of a body to read.
  app.removeAllContentTypeParsers()
  app.addContentTypeParser('*', (_request, _body, parsed) => parsed(null))
  app.setErrorHandler<FastifyError>((error, request, reply) => {
    // Fastify refuses some values of Content-Type before it calls a handler; the wire has its own answers to them.
    if (CONTENT_TYPE_ERRORS.has(error.code)) answer(request, reply)
    else void reply.send(error)
  })
  const urls = prefix === '' ? ['/*'] : ['', '/*']
  for (const url of urls) app.route({ method: app.supportedMethods, url, handler: answer })
  // This handler gets the methods that Fastify does not route. Without a prefix, it would replace the application's own handler.
  if (prefix !== '') app.setNotFoundHandler(answer)
  app.addHook('preClose', (closed) => {
    options.wire.drain()
    closed()
  })
  done()
}

Object.assign(serviceFs, {
  [Symbol.for('plugin-meta')]: { name: '@service-fs/fastify', fastify: '5.x' },
})

const CONTENT_TYPE_ERRORS: ReadonlySet<string> = new Set([
  'FST_ERR_CTP_INVALID_MEDIA_TYPE',
  'FST_ERR_ROUTE_MISSING_CONTENT_TYPE',
])

/**
 * An option of the application: `fastify({ frameworkErrors })`. Fastify refuses some requests before it looks for a route, such as
 * one for `/v1/records/%ff`. With this option the wire answers the refused requests whose path has its prefix.
 */
export const frameworkErrors: NonNullable<FastifyServerOptions['frameworkErrors']> = (
  error,
  request,
  reply,
) => {
  if (!handOver(request, reply)) void (reply as FastifyReply).send(error)
}

/** If the path of a request begins with the prefix of a wire, hands the request to that wire. Reports whether it did. */
export function handOver(request: FastifyRequest, reply: FastifyReply): boolean {
  const { path } = splitTarget(request.raw.url ?? '')
  for (const [prefix, answer] of mounts.get(request.server.server) ?? []) {
    if (prefix !== '' && path !== prefix && !path.startsWith(`${prefix}/`)) continue
    answer(request, reply)
    return true
  }
  return false
}

/** Returns the handler for the requests of one registration. */
function answerer(app: FastifyInstance, { authenticate, ...options }: ServiceFsOptions): Answer {
  const requests = new WeakMap<IncomingMessage, FastifyRequest>()
  const handle = wireHandler({
    ...options,
    prefix: app.prefix,
    ...(authenticate && { authenticate: (raw) => authenticate(requests.get(raw) as FastifyRequest) }),
  })
  return (request, reply) => {
    const { raw } = request
    const { raw: out } = reply
    reply.hijack()
    // Node answers the expectation itself if the server has no listener for it.
    if (raw.headers.expect !== undefined && app.server.listenerCount('checkContinue') === 0)
      delete raw.headers.expect
    for (const [name, value] of Object.entries(reply.getHeaders()))
      if (value !== undefined) out.setHeader(name, value)
    if (authenticate !== undefined) requests.set(raw, request)
    const problem = headProblem(raw)
    if (problem !== undefined) out.shouldKeepAlive = false
    const answered = problem === undefined ? handle(raw, out) : sendAnswer(raw, out, problemResponse(problem))
    answered.catch((error: unknown) => {
      out.destroy()
      if (!isDisconnect(error)) request.log.error(error)
    })
  }
}
