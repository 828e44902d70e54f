/** The meaning of each problem code, and how a client should respond: the source of docs/errors.md. No server loads this file. */
import type { ProblemCode } from './problem.ts'

interface ProblemDocs {
  /** Sentences of Markdown. */
  readonly meaning: string
  readonly action: string
}

const FIX = 'Fix the request. The same request fails again.'
const OPERATOR = 'Tell the operator. Retry when `/readyz` reports ready.'
const RETRY = 'Retry after `Retry-After` seconds.'

export const PROBLEM_DOCS: Readonly<Record<ProblemCode, ProblemDocs>> = {
  'bad-request': {
    meaning:
      'The request is not valid HTTP/1.1, its body is not valid JSON, or a field, header or query parameter has an invalid value. `field` names it; `expected` and `supplied` say what is wrong.',
    action: FIX,
  },
  'bad-record': {
    meaning: "The ledger format does not allow the record's identifier or type, or the type is reserved.",
    action: FIX,
  },
  'bad-signature': {
    meaning:
      "The signature of the record's author is not valid, not allowed, or of another payload; or a certificate of its chain is not valid at the time of the record; or the chain leads to none of the ledger's trust anchors. `detail` says what was expected. No record of the batch was recorded.",
    action:
      'Sign the bytes that the ledger stores, with a valid certificate: [signed-origin.md](signed-origin.md).',
  },
  'module-id-missing': {
    meaning: 'Neither `X-Foundry-Module-ID` nor the path names a tenant.',
    action: 'Send the header, or use the path prefix `/t/<moduleId>/`.',
  },
  'module-id-ambiguous': {
    meaning: '`X-Foundry-Module-ID` and the path name different tenants.',
    action: 'Send one of them.',
  },
  range: {
    meaning:
      'A proof names an index or a size beyond the tree, or a follow request starts beyond it. `size` is the tree size.',
    action: 'Ask within `size`, or read the checkpoint again.',
  },
  unauthenticated: {
    meaning: 'The server requires credentials. The request has no credentials, or they are not valid.',
    action: 'Send a valid bearer token or client certificate.',
  },
  'module-id-mismatch': {
    meaning: 'The request names a tenant that this server does not serve.',
    action: 'Check the URL and the tenant name.',
  },
  forbidden: {
    meaning: "The subject has none of the roles that the route requires. `expected` lists the route's roles.",
    action: 'Ask the operator for a role.',
  },
  'signature-required': {
    meaning:
      'The ledger takes records of this type only with the signature of their author. No record of the batch was recorded.',
    action: 'Sign the record: [signed-origin.md](signed-origin.md).',
  },
  'no-tenant': {
    meaning: 'A host of several tenants, without credentials, has no tenant of this name.',
    action: 'Check the tenant name.',
  },
  'no-route': { meaning: 'No route has this path.', action: 'Check the path.' },
  'not-found': {
    meaning: 'The ledger has no such record, cursor or tile, but may have it later.',
    action: 'Check the identifier; for a tile, read the checkpoint again.',
  },
  'not-a-record': {
    meaning:
      'The cursor is inside a record that is split over several entries. `cursor` is that of the record.',
    action: 'Use `cursor` from the answer.',
  },
  'audit-off': {
    meaning: 'The ledger is public: it has no audit sub-ledger.',
    action: 'Do not use routes below `/audit`.',
  },
  'method-not-allowed': {
    meaning: 'The route does not take this method.',
    action: 'Use a method that `Allow` lists.',
  },
  timeout: {
    meaning: 'The request did not arrive within its time limit.',
    action: 'Retry on a new connection.',
  },
  conflict: {
    meaning:
      'Another record has this `payload_id`. `cursor` is that of the record; it is absent if both are in the same batch. No record of the batch was recorded.',
    action: 'Use another identifier, or read the record at `cursor`. Do not retry.',
  },
  'too-large': {
    meaning: 'The body, the payload, the number of records or the number of JSON values exceeds its limit.',
    action: 'Split the batch, or send the payload as raw bytes. `/v1/contract` lists the limits.',
  },
  'target-too-long': { meaning: 'The request line exceeds its limit.', action: 'Shorten the URL.' },
  'unsupported-media-type': {
    meaning: 'The server cannot decode the content coding or the charset of the body.',
    action: 'Send UTF-8, in a coding that `Accept-Encoding` lists.',
  },
  misdirected: {
    meaning:
      'The `Host` header is neither a loopback address nor `localhost`, and the server has no credentials configured (TCP only).',
    action: 'Use `localhost`, or a server with credentials.',
  },
  'rate-limited': {
    meaning:
      'The subject sends requests too fast, or its appends have named too many existing records (only for a subject without the role `read`).',
    action: RETRY,
  },
  'headers-too-large': {
    meaning: 'The header fields exceed their limit.',
    action: 'Send fewer or shorter headers.',
  },
  internal: {
    meaning: 'The server met an unexpected error.',
    action: 'Tell the operator: the log has the error.',
  },
  'not-implemented': {
    meaning:
      'This server cannot do this: Envelope B makes no packs, keeps no second trees, examines no fields of records, and does not verify signatures of authors.',
    action: 'Use the command that `detail` names, or a server of Envelope A.',
  },
  corrupt: {
    meaning: 'Stored data failed a check.',
    action: 'Tell the operator: `service-fs verify` and the log say where.',
  },
  io: {
    meaning: 'A storage operation failed. An append that gets this error may or may not be recorded.',
    action: `${OPERATOR} Repeat an append with the same \`payload_id\`: the answer says whether it was recorded.`,
  },
  signer: { meaning: 'Signing the checkpoint failed. Nothing was recorded.', action: OPERATOR },
  stopped: {
    meaning:
      'The ledger accepts no appends since a write or an fsync failed. Reads still work. When the daemon starts again, it discards data that was only in memory.',
    action: OPERATOR,
  },
  busy: { meaning: 'The server has too much work waiting. Nothing was recorded.', action: RETRY },
  'clock-behind': {
    meaning:
      'The clock is more than 10 seconds behind the newest record. Reads fail too, because the server records them.',
    action: `${RETRY} The operator sets the clock, or corrects the time of the ledger.`,
  },
  'clock-ahead': {
    meaning:
      'The clock runs more than a day ahead of the time elapsed since the daemon started. Reads fail too.',
    action: `${RETRY} The operator sets the clock or restarts the daemon.`,
  },
  closed: { meaning: 'The ledger is closing.', action: RETRY },
  'not-ready': {
    meaning:
      'The ledger is opening, or an append or a read by identifier waited 10 seconds for the [record index](architecture.md#opening) to cover all entries. Nothing was recorded. `/readyz` has the reason.',
    action: RETRY,
  },
  'tenant-unavailable': {
    meaning: "A host of several tenants: this tenant's process does not respond.",
    action: `${RETRY} Repeat an append with the same \`payload_id\`.`,
  },
  'issuer-unavailable': {
    meaning: 'The server cannot fetch the keys of the OIDC issuer, so it cannot check the token.',
    action: RETRY,
  },
  'read-only': {
    meaning:
      'The ledger (for an append) or its audit sub-ledger (for a read) is [open for reading only](operating.md#reading-only); or the server does not know whether the requested record is durable.',
    action: OPERATOR,
  },
  full: {
    meaning: 'The disk of the ledger (for an append) or of its audit sub-ledger (for a read) is full.',
    action: 'Retry when the operator has freed space. The ledger accepts appends again by itself.',
  },
}
