/**
 * The HTTP protocol of a service-fs ledger (docs/wire.md) without a transport: {@link createWire} returns a {@link Wire}, whose
 * `handle` turns a request into a response. A server parses HTTP, calls `refusal` and `bodyLimit` with a request's head, reads
 * the body, and calls `handle`.
 *
 * The subpaths `conformance`, `http-cases` and `in-process` hold the test suite that every such server passes.
 *
 * @packageDocumentation
 */
export { createWire, type Wire } from './handle.ts'
export type { Authors } from './authors.ts'
export type { Answer, Call, Handler, Readiness, Shown, Streamed, WireLedger, WireOptions } from './call.ts'
export { DEFAULT_LIMITS, type Limits } from './limits.ts'
export { AppendReads } from './append-reads.ts'

export {
  splitTarget,
  type Coding,
  type Query,
  type RequestHead,
  type WireRequest,
  type WireResponse,
} from './request.ts'
export { Budget, busy, tooLarge } from './body-limits.ts'
export { contentCoding } from './body-meaning.ts'
export { authorityOf, hostName, isHost, isLocalName } from './host-name.ts'
export { MODULE_HEADER, splitTenant } from './tenant.ts'

export { ROUTES, createMatcher, routesOf, type Match, type Route } from './routes.ts'
export { ROLES, isRole, type Permission, type Role } from './roles.ts'
export { openApi } from './openapi.ts'

export {
  PROBLEMS,
  Problem,
  isFailure,
  problemOf,
  problemResponse,
  type Members,
  type ProblemCode,
} from './problem.ts'

export { JsonError, canonicalJson, canonicalString, parseJson, type Allowance } from './canonicaljson.ts'
