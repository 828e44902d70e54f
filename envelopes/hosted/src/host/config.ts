/** host.json, the configuration of `service-fs host`. Reading checks it strictly; writing replaces it atomically. */
import { readFile } from 'node:fs/promises'
import { dirname, resolve } from 'node:path'
import { DEFAULT_LIMITS } from '@service-fs/ledger/limits'
import { isModuleId } from '@service-fs/format/module-id'
import { isKeyName } from '@service-fs/tlog/note'
import * as v from 'valibot'
import { AccessConfig, TlsConfig } from '@service-fs/access/config'
import { requiredTypes } from '../tenant/author-settings.ts'
import { replaceFile } from '../tenant/durable.ts'
import { fieldProblem, MAX_SEARCH_FIELDS } from '../tenant/search/declared-fields.ts'
import { MAX_SCRUB_DAYS, MAX_SCRUB_RATE, MIN_SCRUB_RATE } from '../tenant/scrub-limits.ts'
import { HostedError } from '@service-fs/http/errors'
import { codeOf, messageOf } from '@service-fs/format/errors'
import type { Owner } from './files.ts'

/** A tenant of the host. */
export interface TenantConfig {
  moduleId: string
  /** The tenant's user and group. Default: the owner of its directory, or new ids. */
  uid?: number
  gid?: number
  /** The origin of a new ledger. */
  origin?: string
  /** The maximum size of a record's payload in bytes. */
  maxPayloadBytes?: number
  /** The limit of the process's private memory in MiB. V8's heap gets three quarters of it. */
  memoryMiB?: number
  /** The limit of the process's open file descriptors. */
  openFiles?: number
  /** The sizes of its ledger and audit sub-ledger that the operator accepts although more entries were acknowledged. */
  acceptShorterTree?: number
  acceptShorterAuditTree?: number
  /** Whether to open its ledger for reading only: `serve --read-only`. */
  readOnly?: boolean
  /** Whether to accept records while its clock is too far ahead: `serve --allow-clock-ahead`. */
  allowClockAhead?: boolean
  /** The fields of records that searches may compare, by the type of the records: `serve --search-field`. */
  searchFields?: Readonly<Record<string, readonly string[]>>
  /** How many days the background check of its sealed files takes: `serve --scrub-days`. */
  scrubDays?: number
  /** The most bytes that the check reads per second: `serve --scrub-rate`. */
  scrubBytesPerSecond?: number
  /**
   * The signatures of authors that the tenant accepts, and the types of records that must have one: `serve
   * --author-anchors` and `--require-signature`.
   */
  authors?: { anchors: string; require?: readonly string[] }
}

/** The contents of host.json. */
interface HostFile {
  root: string
  run?: string
  listen?: string[]
  metrics?: string
  tls?: TlsConfig
  access?: AccessConfig
  front?: Owner
  uids?: { from: number; to: number }
  idleStopSeconds?: number
  immutable?: 'auto' | 'off' | 'required'
  tenants?: TenantConfig[]
}

type Filled = 'run' | 'listen' | 'front' | 'uids' | 'idleStopSeconds' | 'immutable' | 'tenants'

/** The contents of host.json with absolute paths and defaults. */
export type HostConfig = HostFile & Required<Pick<HostFile, Filled>>

const DEFAULTS = {
  run: '/run/service-fs',
  listen: ['127.0.0.1:8080'],
  front: { uid: 70_099, gid: 70_099 },
  uids: { from: 70_100, to: 79_999 },
  idleStopSeconds: 600,
  immutable: 'auto',
  tenants: [],
} satisfies Partial<HostFile>

const count = (least: number, most: number): v.GenericSchema<number> =>
  v.pipe(
    v.number(),
    v.check(
      (value) => Number.isSafeInteger(value) && value >= least && value <= most,
      `expected an integer from ${least} to ${most}`,
    ),
  )
const text: v.GenericSchema<string> = v.pipe(v.string(), v.nonEmpty('expected a string that is not empty'))
const id: v.GenericSchema<number> = count(1, 2 ** 31 - 2)

const searchFields: v.GenericSchema<Readonly<Record<string, readonly string[]>>> = v.pipe(
  v.record(v.string(), v.array(v.string())),
  v.rawCheck(({ dataset, addIssue }) => {
    const fields = dataset.typed
      ? Object.entries(dataset.value).flatMap(([type, pointers]) =>
          pointers.map((pointer) => ({ type, pointer })),
        )
      : []
    const problem = fields.map(fieldProblem).find((found) => found !== undefined)
    if (problem !== undefined) addIssue({ message: `expected ${problem}` })
    else if (fields.length > MAX_SEARCH_FIELDS)
      addIssue({ message: `expected at most ${MAX_SEARCH_FIELDS} pointers` })
  }),
)

const tenantSchema: v.GenericSchema<TenantConfig> = v.strictObject({
  moduleId: v.pipe(
    v.string(),
    v.check(
      isModuleId,
      'expected lower-case letters, digits and hyphens, at most 63, not starting with a hyphen',
    ),
  ),
  uid: v.exactOptional(id),
  gid: v.exactOptional(id),
  origin: v.exactOptional(
    v.pipe(v.string(), v.check(isKeyName, 'expected a name without spaces and plus signs')),
  ),
  maxPayloadBytes: v.exactOptional(count(1, DEFAULT_LIMITS.maxPayloadBytes)),
  memoryMiB: v.exactOptional(count(256, 2 ** 20)),
  openFiles: v.exactOptional(count(256, 2 ** 20)),
  acceptShorterTree: v.exactOptional(count(0, Number.MAX_SAFE_INTEGER)),
  acceptShorterAuditTree: v.exactOptional(count(0, Number.MAX_SAFE_INTEGER)),
  readOnly: v.exactOptional(v.boolean()),
  allowClockAhead: v.exactOptional(v.boolean()),
  searchFields: v.exactOptional(searchFields),
  scrubDays: v.exactOptional(count(1, MAX_SCRUB_DAYS)),
  scrubBytesPerSecond: v.exactOptional(count(MIN_SCRUB_RATE, MAX_SCRUB_RATE)),
  authors: v.exactOptional(
    v.strictObject({
      anchors: text,
      require: v.exactOptional(
        v.pipe(
          v.array(v.string()),
          v.check((types) => requiredTypes(types) !== undefined, 'expected starts of media types, or *'),
        ),
      ),
    }),
  ),
})

const hostSchema: v.GenericSchema<HostFile> = v.strictObject({
  root: text,
  run: v.exactOptional(text),
  listen: v.exactOptional(v.pipe(v.array(text), v.minLength(1, 'expected at least one address'))),
  metrics: v.exactOptional(text),
  tls: v.exactOptional(TlsConfig),
  access: v.exactOptional(AccessConfig),
  front: v.exactOptional(v.strictObject({ uid: id, gid: id })),
  uids: v.exactOptional(v.strictObject({ from: id, to: id })),
  idleStopSeconds: v.exactOptional(count(0, 365 * 86_400)),
  immutable: v.exactOptional(v.picklist(['auto', 'off', 'required'])),
  tenants: v.exactOptional(v.array(tenantSchema)),
})

/** The maximum length of a tenant's socket path in bytes: `sun_path` has 104 on BSD, with the NUL. */
const LONGEST_SOCKET = 103
const SOCKET_BESIDE_RUN = '/'.length + 63 + '/socket'.length

/** Reads and checks host.json. Its relative paths are relative to its directory. @throws HostedError `config` */
export async function loadHostConfig(file: string): Promise<HostConfig> {
  return parseHostConfig(await readConfigText(file), file)
}

/** Parses and checks the text of host.json. @throws HostedError `config` that names the field and what was expected and found */
export function parseHostConfig(json: string, file: string): HostConfig {
  let value: unknown
  try {
    value = JSON.parse(json)
  } catch (error) {
    throw new HostedError('config', `${file}: expected JSON: ${messageOf(error)}`)
  }
  const parsed = v.safeParse(hostSchema, value)
  if (!parsed.success) throw new HostedError('config', `${file}: ${complaint(parsed.issues[0])}`)
  const near = dirname(resolve(file))
  const filled = { ...DEFAULTS, ...parsed.output }
  const config = {
    ...filled,
    root: resolve(near, filled.root),
    run: resolve(near, filled.run),
    tenants: filled.tenants.map((tenant) => withAnchors(tenant, near)),
  }
  checkWhole(config, file)
  return config
}

/** Makes the path of the anchors absolute. */
function withAnchors(tenant: TenantConfig, near: string): TenantConfig {
  const { authors } = tenant
  return authors === undefined
    ? tenant
    : { ...tenant, authors: { ...authors, anchors: resolve(near, authors.anchors) } }
}

function complaint(issue: v.BaseIssue<unknown>): string {
  const path = v.getDotPath(issue) ?? 'the document'
  if (issue.type === 'strict_object' && issue.expected === 'never') return `${path}: no such field`
  if (issue.received === 'undefined') return `${path}: expected a value, found none`
  const found = JSON.stringify(issue.input) ?? 'nothing'
  const expected =
    issue.kind === 'validation' ? issue.message : `expected ${issue.expected ?? 'something else'}`
  return `${path}: ${expected}, found ${found.slice(0, 100)}`
}

/** Checks the rules that involve several fields. */
function checkWhole({ run, uids, front, tenants }: HostConfig, file: string): void {
  const refuse = (message: string): never => {
    throw new HostedError('config', `${file}: ${message}`)
  }
  if (Buffer.byteLength(run) + SOCKET_BESIDE_RUN > LONGEST_SOCKET)
    refuse(`run: expected a path of at most ${LONGEST_SOCKET - SOCKET_BESIDE_RUN} bytes, found ${run}`)
  if (uids.to < uids.from) refuse(`uids.to: expected at least ${uids.from}, found ${uids.to}`)
  const ids = new Set<string>()
  const owners = new Map<number, string>([[front.uid, 'the front']])
  for (const [i, { moduleId, uid, gid }] of tenants.entries()) {
    if (ids.has(moduleId)) refuse(`tenants.${i}.moduleId: expected each tenant once, found ${moduleId} twice`)
    ids.add(moduleId)
    if (gid === front.gid) refuse(`tenants.${i}.gid: expected a group other than the front's, found ${gid}`)
    if (uid === undefined) continue
    const other = owners.get(uid)
    if (other !== undefined)
      refuse(`tenants.${i}.uid: expected a separate user, found ${uid}, the user of ${other}`)
    owners.set(uid, moduleId)
  }
}

/**
 * Changes the list of tenants in host.json and keeps its other fields. Writes it with two spaces of indentation and mode 0600.
 * @throws HostedError `config` when the result would be invalid; then it writes nothing
 */
export async function changeTenants(
  file: string,
  change: (tenants: readonly TenantConfig[]) => readonly TenantConfig[],
): Promise<void> {
  const before = await readConfigText(file)
  const { tenants } = parseHostConfig(before, file)
  const after = { ...(JSON.parse(before) as object), tenants: change(tenants) }
  await writeHostConfig(file, after)
}

/** Replaces host.json atomically. @throws HostedError `config` when the content is invalid */
export async function writeHostConfig(file: string, content: object): Promise<void> {
  const json = `${JSON.stringify(content, undefined, 2)}\n`
  parseHostConfig(json, file)
  await replaceFile(file, json)
}

async function readConfigText(file: string): Promise<string> {
  try {
    return await readFile(file, 'utf8')
  } catch (error) {
    const hint = codeOf(error) === 'ENOENT' ? '; `service-fs tenant add --root DIR` creates one' : ''
    throw new HostedError('config', `${messageOf(error)}${hint}`, { cause: error })
  }
}
