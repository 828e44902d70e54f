/** host.json: what `service-fs host` runs. Checked strictly when it is read, and written whole or not at all. */
import { readFile } from 'node:fs/promises'
import { dirname, resolve } from 'node:path'
import { DEFAULT_LIMITS } from '@service-fs/ledger/limits'
import { isModuleId } from '@service-fs/format/module-id'
import { isKeyName } from '@service-fs/tlog/note'
import * as v from 'valibot'
import { AccessConfig, TlsConfig } from '@service-fs/access/config'
import { replaceFile } from '../tenant/durable.ts'
import { HostedError, hasCode } from '@service-fs/http/errors'
import { messageOf } from '@service-fs/format/errors'
import type { Owner } from './files.ts'

/** A tenant of the host. */
export interface TenantConfig {
  moduleId: string
  /** Its user and group; absent: those of its directory, or new ones. */
  uid?: number
  gid?: number
  /** Of a new ledger. */
  origin?: string
  /** Bytes of a record's payload. */
  maxPayloadBytes?: number
  /** What its process may have of private memory, in MiB; V8's heap gets three quarters of it. */
  memoryMiB?: number
  /** File descriptors. */
  openFiles?: number
  /** The sizes of its ledger and audit sub-ledger that an operator accepts although more was acknowledged. */
  acceptShorterTree?: number
  acceptShorterAuditTree?: number
  /** Whether its ledger is opened for reading only: `serve --read-only`. */
  readOnly?: boolean
  /** Whether its clock may get any time ahead. */
  allowClockAhead?: boolean
}

/** What host.json says. */
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

/** What host.json says, with absolute paths, and what it leaves out filled in. */
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

const tenantSchema: v.GenericSchema<TenantConfig> = v.strictObject({
  moduleId: v.pipe(
    v.string(),
    v.check(isModuleId, 'expected lower-case letters, digits and hyphens, at most 63, none in front'),
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
})

const hostSchema: v.GenericSchema<HostFile> = v.strictObject({
  root: text,
  run: v.exactOptional(text),
  listen: v.exactOptional(v.pipe(v.array(text), v.minLength(1, 'expected an address at least'))),
  metrics: v.exactOptional(text),
  tls: v.exactOptional(TlsConfig),
  access: v.exactOptional(AccessConfig),
  front: v.exactOptional(v.strictObject({ uid: id, gid: id })),
  uids: v.exactOptional(v.strictObject({ from: id, to: id })),
  idleStopSeconds: v.exactOptional(count(0, 365 * 86_400)),
  immutable: v.exactOptional(v.picklist(['auto', 'off', 'required'])),
  tenants: v.exactOptional(v.array(tenantSchema)),
})

/** Names of a tenant's runtime directory: its socket must fit into `sun_path` (104 bytes on BSD, with a NUL). */
const LONGEST_SOCKET = 103
const SOCKET_BESIDE_RUN = '/'.length + 63 + '/socket'.length

/** Reads and checks host.json. Relative paths in it are relative to it. @throws HostedError `config` */
export async function loadHostConfig(file: string): Promise<HostConfig> {
  return parseHostConfig(await readConfigText(file), file)
}

/** @throws HostedError `config`, which names the field, what was expected and what was found */
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
  const config = { ...filled, root: resolve(near, filled.root), run: resolve(near, filled.run) }
  checkWhole(config, file)
  return config
}

function complaint(issue: v.BaseIssue<unknown>): string {
  const path = v.getDotPath(issue) ?? 'the document'
  if (issue.type === 'strict_object' && issue.expected === 'never') return `${path}: no such field`
  if (issue.received === 'undefined') return `${path}: expected to be there`
  const found = JSON.stringify(issue.input) ?? 'nothing'
  const expected =
    issue.kind === 'validation' ? issue.message : `expected ${issue.expected ?? 'something else'}`
  return `${path}: ${expected}, found ${found.slice(0, 100)}`
}

/** What holds between fields. */
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
    if (ids.has(moduleId)) refuse(`tenants.${i}.moduleId: ${moduleId} is there twice`)
    ids.add(moduleId)
    if (gid === front.gid) refuse(`tenants.${i}.gid: expected another than the front's, found ${gid}`)
    if (uid === undefined) continue
    const other = owners.get(uid)
    if (other !== undefined)
      refuse(`tenants.${i}.uid: expected one of its own, found ${uid}, which is ${other}'s`)
    owners.set(uid, moduleId)
  }
}

/**
 * Changes the list of tenants in host.json and leaves the rest as it is: two spaces of indentation, mode 0600.
 * @throws HostedError `config` when it would not be valid; then nothing is written
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

/** Writes host.json, whole or not at all. @throws HostedError `config` when it would not be valid */
export async function writeHostConfig(file: string, content: object): Promise<void> {
  const json = `${JSON.stringify(content, undefined, 2)}\n`
  parseHostConfig(json, file)
  await replaceFile(file, json)
}

async function readConfigText(file: string): Promise<string> {
  try {
    return await readFile(file, 'utf8')
  } catch (error) {
    const hint = hasCode(error, 'ENOENT') ? '; `service-fs tenant add --root DIR` makes one' : ''
    throw new HostedError('config', `${messageOf(error)}${hint}`, { cause: error })
  }
}
