/** The MCP resources: /v1 under `ledger://<moduleId>/`, and /audit/v1 under `ledger://<moduleId>/audit/`. */
import { Problem } from '@service-fs/wire/problem'
import { Refused, type Answered, type Caller } from './caller.ts'

interface Resource {
  /** A URI or a template (RFC 6570), relative to `ledger://<moduleId>/` or its `audit/`. */
  readonly path: string
  readonly name: string
  readonly description: string
  readonly mimeType: string
  /** Matches the paths of the resource, without their query. */
  readonly pattern: RegExp
}

const JSON_TYPE = 'application/json'

const RESOURCES: readonly Resource[] = [
  {
    path: 'contract',
    name: 'contract',
    description: 'Version, tenant, origin, keys, limits, hash algorithms',
    mimeType: JSON_TYPE,
    pattern: /^contract$/,
  },
  {
    path: 'checkpoint',
    name: 'checkpoint',
    description: 'The newest signed checkpoint, a C2SP signed note',
    mimeType: 'text/plain',
    pattern: /^checkpoint$/,
  },
  {
    path: 'entries{?since,limit}',
    name: 'entries',
    description: 'Records in order, at most `limit`, whose first entry has an index of at least `since`',
    mimeType: JSON_TYPE,
    pattern: /^entries$/,
  },
  {
    path: 'entries/{cursor}',
    name: 'record-by-cursor',
    description: 'The record with this cursor',
    mimeType: JSON_TYPE,
    pattern: /^entries\/\d+$/,
  },
  {
    path: 'records/{payload_id}',
    name: 'record',
    description: 'The record with this identifier',
    mimeType: JSON_TYPE,
    pattern: /^records\/[^/]+$/,
  },
  {
    path: 'entries/{cursor}/proof',
    name: 'proof',
    description: "The record's .tlog-proof at the newest checkpoint",
    mimeType: 'text/x.tlog-proof',
    pattern: /^entries\/\d+\/proof$/,
  },
  {
    path: 'proof/inclusion{?index,size}',
    name: 'inclusion-proof',
    description: 'The inclusion proof of an entry in the tree of a size (RFC 6962 section 2.1.1)',
    mimeType: JSON_TYPE,
    pattern: /^proof\/inclusion$/,
  },
  {
    path: 'proof/consistency{?from,to}',
    name: 'consistency-proof',
    description: 'The consistency proof between the trees of two sizes (RFC 6962 section 2.1.2)',
    mimeType: JSON_TYPE,
    pattern: /^proof\/consistency$/,
  },
]

interface Described {
  name: string
  description: string
  mimeType: string
}

/** Returns the resources with a fixed URI that the caller may read. */
export function resourcesOf(caller: Caller): (Described & { uri: string })[] {
  return list(caller, false).map(({ place, ...resource }) => ({ uri: place, ...resource }))
}

/** Returns the templates of the other resources that the caller may read. */
export function resourceTemplatesOf(caller: Caller): (Described & { uriTemplate: string })[] {
  return list(caller, true).map(({ place, ...resource }) => ({ uriTemplate: place, ...resource }))
}

function list(caller: Caller, templates: boolean): (Described & { place: string })[] {
  const kept = RESOURCES.filter(({ path }) => path.includes('{') === templates)
  const below = (folder: string, prefix: string, of: string): (Described & { place: string })[] =>
    kept.map(({ path, name, description, mimeType }) => ({
      place: `ledger://${caller.moduleId}/${folder}${path}`,
      name: prefix + name,
      description: description + of,
      mimeType,
    }))
  const mayExamine = caller.may('examine') && caller.call.options.audit !== undefined
  return [
    ...(caller.may('read', 'examine') ? below('', '', '') : []),
    ...(mayExamine ? below('audit/', 'audit-', ', of the audit sub-ledger') : []),
  ]
}

const URI = /^ledger:\/\/([^/?#]*)\/(audit\/)?([^?#]*)(\?[^#]*)?$/

/** Reads a resource. @throws Refused; 404 `no-route` for an unknown URI */
export async function readResource(caller: Caller, uri: string): Promise<Answered> {
  const [, moduleId, audit = '', path = '', query = ''] = URI.exec(uri) ?? []
  if (moduleId !== caller.moduleId) throw unknown(uri, `ledger://${caller.moduleId}/…`)
  const resource = RESOURCES.find(({ pattern }) => pattern.test(path))
  if (resource === undefined) throw unknown(uri, 'one of the listed resources')
  // This checkpoint is the signed note. The tool returns JSON.
  return caller.get(`/${audit}v1/${path}${query}`, resource.mimeType)
}

function unknown(uri: string, expected: string): Refused {
  return Refused.of(new Problem('no-route', `uri: expected ${expected}, found ${uri.slice(0, 200)}`))
}
