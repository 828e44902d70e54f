/** Adds `tenant add|ls|rm-from-config` to the command line. */
import { constants, existsSync } from 'node:fs'
import { mkdir, open } from 'node:fs/promises'
import { connect } from 'node:net'
import { dirname, join, resolve } from 'node:path'
import type { Command } from 'commander'
import type { Io } from '@service-fs/cli/io'
import { codeOf, messageOf } from '@service-fs/format/errors'
import { perform, USAGE } from '@service-fs/cli/perform'
import { isModuleId } from '@service-fs/format/module-id'
import { HostedError } from '@service-fs/http/errors'
import { AUDIT_KEY, LEDGER_KEY, secretDir, vkeyOf } from '../tenant/keys.ts'
import { processFacts } from '../process/process-facts.ts'
import { changeTenants, loadHostConfig, writeHostConfig, type TenantConfig } from './config.ts'
import { prepareRoot, prepareTenant, socketOf } from './directories.ts'
import { directoryAt } from './files.ts'
import { RootLock } from './root-lock.ts'
import { isRoot, Users } from './uids.ts'

interface TenantFlags {
  config: string
  root?: string
  run?: string
  listen?: string
  uid?: string
  gid?: string
  origin?: string
  policyOut?: string
  json?: boolean
}

export function addTenant(program: Command, io: Io): void {
  const tenant = program.command('tenant').description('manage the tenants of a host in its host.json')
  const add = (name: string, description: string): Command =>
    tenant
      .command(name)
      .description(description)
      .requiredOption('--config <file>', 'host.json')
      .option('--json', 'print one line of JSON per tenant')
  add('add <id...>', 'create keys and a directory for each tenant, and add it to host.json')
    .option('--root <dir>', 'the directory of the ledgers, for a new host.json')
    .option('--run <dir>', 'the directory of the sockets, for a new host.json')
    .option('--listen <address>', 'the address that the front listens on, for a new host.json')
    .option('--uid <number>', "the tenant's uid (default: an unused one)")
    .option('--gid <number>', "the tenant's gid (default: its uid)")
    .option('--origin <origin>', "the new ledger's origin, which cannot change later")
    .option(
      '--policy-out <file>',
      "write a tlog-policy with the verifier keys of each tenant's two logs; auditors pass it to --policy",
    )
    .action((ids: string[], flags: TenantFlags) => act(io, flags, () => addTenants(ids, flags, io)))
  add('ls', 'list the tenants, their users, and whether they run').action((flags: TenantFlags) =>
    act(io, flags, () => list(flags, io)),
  )
  add('rm-from-config <id...>', 'remove tenants from host.json; their ledgers and keys stay in place').action(
    (ids: string[], flags: TenantFlags) => act(io, flags, () => remove(ids, flags, io)),
  )
}

function act(io: Io, flags: TenantFlags, work: () => Promise<void>): Promise<void> {
  process.umask(0o022)
  return perform(io, flags.json, async () => {
    try {
      await work()
      return 0
    } catch (error) {
      if (!(error instanceof HostedError && ['usage', 'config'].includes(error.code))) throw error
      io.err(`service-fs: ${error.message}`)
      return USAGE
    }
  })
}

async function addTenants(ids: readonly string[], flags: TenantFlags, io: Io): Promise<void> {
  for (const name of ['uid', 'gid'] as const)
    if (flags[name] !== undefined && !isRoot())
      throw usage(`--${name}: needs root; otherwise all tenants run as the user that starts the host`)
  checkIds(ids, flags)
  const policy = flags.policyOut === undefined ? undefined : await newPolicy(flags.policyOut)
  await ensureConfig(flags)
  const { root } = await loadHostConfig(flags.config)
  await prepareRoot({ root })
  const added = await new RootLock(root).with(() => makeAll(ids, flags))
  for (const { tenant, dir, keys } of added) {
    const { moduleId, uid, gid } = tenant
    const { vkey, auditVkey, areNew } = keys
    if (flags.json === true)
      await io.out(`${JSON.stringify({ module_id: moduleId, uid, gid, dir, vkey, audit_vkey: auditVkey })}\n`)
    else
      await io.out(
        `${moduleId}  ${userOf(uid)}${dir}${areNew ? '' : '  (its keys existed)'}\n  vkey   ${vkey}\n  audit  ${auditVkey}\n`,
      )
  }
  if (policy !== undefined) await policy.write(policyText(added))
}

interface Added {
  tenant: TenantConfig
  dir: string
  keys: { vkey: string; auditVkey: string; areNew: boolean }
}

/** Creates the policy file before anything else, so that an existing file is an error and not overwritten. */
async function newPolicy(path: string): Promise<{ write(text: string): Promise<void> }> {
  const file = await open(path, 'wx', 0o644).catch((error: unknown) => {
    const why =
      codeOf(error) === 'EEXIST' ? `${path}: exists already, and is not overwritten` : messageOf(error)
    throw usage(`--policy-out: ${why}`)
  })
  return {
    async write(text) {
      await file.writeFile(text)
      await file.sync()
      await file.close()
    },
  }
}

/** Returns a tlog-policy (c2sp.org/tlog-policy) with both logs of each tenant and no witnesses. */
function policyText(added: readonly Added[]): string {
  const logs = added.map(
    ({ tenant, keys }) => `# ${tenant.moduleId}\nlog ${keys.vkey}\nlog ${keys.auditVkey}\n`,
  )
  return `${logs.join('')}quorum none\n`
}

/** Creates the directories and keys first and changes host.json last, so that a running host finds them complete. */
async function makeAll(ids: readonly string[], flags: TenantFlags): Promise<Added[]> {
  const config = await loadHostConfig(flags.config)
  const there = new Set(config.tenants.map(({ moduleId }) => moduleId))
  for (const id of ids) if (there.has(id)) throw usage(`${id}: is in ${flags.config} already`)
  const users = new Users(config)
  const added: Added[] = []
  for (const moduleId of ids) {
    const wanted = asked(moduleId, flags)
    const owner = isRoot() ? await users.ownerOf(wanted) : undefined
    const { hasNewKeys } = await prepareTenant(config, wanted, owner)
    const secret = secretDir(config.root, moduleId)
    const vkey = await vkeyOf(join(secret, LEDGER_KEY))
    const keys = { vkey, auditVkey: await vkeyOf(join(secret, AUDIT_KEY)), areNew: hasNewKeys }
    added.push({ tenant: { ...wanted, ...owner }, dir: join(config.root, moduleId), keys })
  }
  await changeTenants(flags.config, (tenants) => [...tenants, ...added.map(({ tenant }) => tenant)])
  return added
}

function userOf(uid: number | undefined): string {
  return uid === undefined ? '' : `uid ${uid}  `
}

function checkIds(ids: readonly string[], { uid, gid, origin }: TenantFlags): void {
  for (const id of ids) {
    if (!isModuleId(id))
      throw usage(
        `expected lower-case letters, digits and hyphens, at most 63, not starting with a hyphen, found ${id}`,
      )
    if (ids.indexOf(id) !== ids.lastIndexOf(id)) throw usage(`expected each tenant once, found ${id} twice`)
  }
  if (ids.length > 1 && (uid ?? gid ?? origin) !== undefined)
    throw usage('--uid, --gid and --origin: expected one tenant with these flags, found several')
}

function differs(flag: string | undefined, value: string): boolean {
  return flag !== undefined && resolve(flag) !== value
}

/** Creates host.json from `--root` when it does not exist; otherwise checks that it agrees with the flags. */
async function ensureConfig({ config, root, run, listen }: TenantFlags): Promise<void> {
  if (existsSync(config)) {
    const found = await loadHostConfig(config)
    if (differs(root, found.root)) throw usage(`--root: ${config} says ${found.root}`)
    if (differs(run, found.run)) throw usage(`--run: ${config} says ${found.run}`)
    if (listen !== undefined && !found.listen.includes(listen))
      throw usage(`--listen: ${config} says ${found.listen.join(' ')}`)
    return
  }
  if (root === undefined)
    throw usage(`${config} does not exist: pass the directory of the ledgers as --root DIR`)
  await mkdir(dirname(resolve(config)), { recursive: true })
  await writeHostConfig(config, {
    root: resolve(root),
    ...(run === undefined ? {} : { run: resolve(run) }),
    ...(listen === undefined ? {} : { listen: [listen] }),
    tenants: [],
  })
}

function asked(moduleId: string, { uid, gid, origin }: TenantFlags): TenantConfig {
  return {
    moduleId,
    ...(uid === undefined ? {} : { uid: numberOf(uid, '--uid') }),
    ...(gid === undefined ? {} : { gid: numberOf(gid, '--gid') }),
    ...(origin === undefined ? {} : { origin }),
  }
}

async function list({ config: file, json }: TenantFlags, io: Io): Promise<void> {
  const config = await loadHostConfig(file)
  for (const { moduleId, uid } of config.tenants) {
    const dir = join(config.root, moduleId)
    const user = uid ?? (await directoryAt(dir))?.uid
    const state = (await answers(socketOf(config, moduleId))) ? 'running' : 'stopped'
    const pid = state === 'running' ? await processOf(dir, user) : undefined
    if (json === true)
      await io.out(`${JSON.stringify({ module_id: moduleId, uid: user, dir, state, pid })}\n`)
    else
      await io.out(
        `${moduleId}  ${userOf(user)}${state}${pid === undefined ? '' : ` (process ${pid})`}  ${dir}\n`,
      )
  }
}

async function remove(ids: readonly string[], { config: file, json }: TenantFlags, io: Io): Promise<void> {
  const { root, tenants } = await loadHostConfig(file)
  for (const id of ids)
    if (!tenants.some(({ moduleId }) => moduleId === id)) throw usage(`${id}: no such tenant in ${file}`)
  await new RootLock(root).with(() =>
    changeTenants(file, (now) => now.filter(({ moduleId }) => !ids.includes(moduleId))),
  )
  for (const id of ids) {
    const dir = join(root, id)
    const secret = secretDir(root, id)
    if (json === true) await io.out(`${JSON.stringify({ module_id: id, dir, secret })}\n`)
    else await io.out(`${id}: its ledger stays in ${dir}, its keys in ${secret}\n`)
  }
}

/** Returns the pid in the ledger's lock file if that process runs as the tenant's user; undefined otherwise. */
async function processOf(dir: string, uid: number | undefined): Promise<number | undefined> {
  const { O_RDONLY, O_NOFOLLOW, O_NONBLOCK } = constants
  const file = await open(join(dir, 'lock'), O_RDONLY | O_NOFOLLOW | O_NONBLOCK).catch(() => undefined)
  try {
    const read = await file?.read(Buffer.alloc(16), 0, 16, 0)
    const pid = Number(/^(\d{1,10})\n/.exec(read?.buffer.toString('latin1') ?? '')?.[1])
    return processFacts(pid)?.uid === uid ? pid : undefined
  } catch {
    return undefined
  } finally {
    await file?.close()
  }
}

/** Reports whether a process listens on the socket. */
function answers(path: string): Promise<boolean> {
  return new Promise((done) => {
    const socket = connect(path, () => {
      socket.destroy()
      done(true)
    })
    socket.once('error', () => done(false))
  })
}

function numberOf(text: string, flag: string): number {
  if (/^[1-9]\d{0,9}$/.test(text)) return Number(text)
  throw usage(`${flag}: expected a number of at least 1, found ${text}`)
}

function usage(message: string): HostedError {
  return new HostedError('usage', message)
}
