/**
 * The supervisor of `service-fs host`. It starts the front, and a process for a tenant when the front asks for it.
 * It opens no ledger, reads no ledger's key and listens on no socket.
 */
import { parseListen } from '@service-fs/http/address'
import { realpathSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { dirname, join, resolve } from 'node:path'
import { messageOf } from '@service-fs/format/errors'
import { type DirectoryLock, lockDirectory } from '@service-fs/storage-posix/lock'
import { logAccess, logChanges, logRefused } from '@service-fs/access/changes'
import { checkListen, checkReload, OPEN } from '@service-fs/access/listen-rule'
import { loadAccess, type AccessFiles, type AccessSettings } from '@service-fs/access/settings'
import { watchAccess, type AccessWatch } from '@service-fs/access/watch'
import { HostedError } from '@service-fs/http/errors'
import type { Logger } from '../process/log.ts'
import { VERSION } from '../version.ts'
import type { Inherited } from '@service-fs/http/socket-activation'
import { FIRST_GIVEN, startChild } from './child.ts'
import { loadHostConfig, type HostConfig } from './config.ts'
import { checkReachable, checkReadable, checkTools } from './confine.ts'
import { HOST_DIR, prepareRoot, prepareRun, socketOf } from './directories.ts'
import { FrontLink, type FrontSettings, type GivenSockets } from './front-link.ts'
import { frontCommand } from './launch.ts'
import { Slots } from './slots.ts'
import { TenantLauncher } from './tenant-launcher.ts'
import { TenantProcess, type TenantState } from './tenant-process.ts'
import { isRoot } from './uids.ts'

/** Fields whose changes need a restart of the host. */
const FIXED = ['root', 'run', 'listen', 'metrics', 'front', 'idleStopSeconds'] as const

export interface SupervisorOptions {
  /** host.json. */
  file: string
  /** The program that the processes run: `bin/service-fs.js`. */
  program: string
  log: Logger
  /** Inherited listening sockets for the front. The socket named `metrics` serves metrics; the others replace `listen` of host.json. */
  given?: readonly Inherited[]
}

export interface TenantStatus {
  moduleId: string
  state: TenantState
  pid: number | undefined
}

export class Supervisor {
  readonly #file: string
  readonly #log: Logger
  readonly #launcher: TenantLauncher
  readonly #front: FrontLink
  readonly #slots = new Slots(Math.max(2, availableParallelism()))
  readonly #tenants = new Map<string, TenantProcess>()
  /** The payload limits of the running tenants' processes. */
  readonly #payloads = new Map<string, number | undefined>()
  readonly #lock: DirectoryLock
  readonly #given: readonly Inherited[] | undefined
  #config: HostConfig
  #access: AccessSettings
  #watch: AccessWatch | undefined
  /** The URLs that the front listens on. */
  urls: readonly string[] = []

  /** Starts the front; tenants start on demand. @throws HostedError `config`, `access`, `start` */
  static async start(options: SupervisorOptions): Promise<Supervisor> {
    const file = resolve(options.file)
    const config = await loadHostConfig(file)
    const access = await loadAccess(config.access, config.tls, dirname(file))
    checkAddresses(config, access, options.given)
    const program = realpathSync(options.program)
    await prepare(config, program)
    const lock = await lockRun(config)
    try {
      const supervisor = new Supervisor({ ...options, file, program }, config, access, lock)
      supervisor.urls = await supervisor.#front.start()
      supervisor.#watch = supervisor.#startWatching()
      logAccess(options.log, access)
      options.log.info('listening', {
        url: supervisor.urls.join(' '),
        tenants: config.tenants.length,
        version: VERSION,
      })
      return supervisor
    } catch (error) {
      await lock.release()
      throw error
    }
  }

  private constructor(
    { file, program, log, given }: SupervisorOptions,
    config: HostConfig,
    access: AccessSettings,
    lock: DirectoryLock,
  ) {
    this.#file = file
    this.#log = log
    this.#config = config
    this.#access = access
    this.#lock = lock
    this.#given = given
    this.#launcher = new TenantLauncher(config.root, program, log)
    this.#front = new FrontLink({
      launch: () => startChild(...frontCommand(program, this.#config), descriptorsOf(given)),
      settings: () => this.#frontSettings(),
      reach: (moduleId) => this.reach(moduleId),
      maxPayload: (moduleId) => this.#payloads.get(moduleId),
      idle: (moduleId) => void this.#tenants.get(moduleId)?.idle(),
      log,
    })
    for (const { moduleId } of config.tenants) this.#add(moduleId)
  }

  get config(): HostConfig {
    return this.#config
  }

  get frontPid(): number | undefined {
    return this.#front.pid
  }

  tenants(): TenantStatus[] {
    return [...this.#tenants.values()].map(({ moduleId, state, pid }) => ({ moduleId, state, pid }))
  }

  /** Starts the tenant if it does not run; resolves with the path of its socket. @throws HostedError `no-tenant`, `tenant-unavailable` */
  async reach(moduleId: string): Promise<string> {
    const tenant = this.#tenants.get(moduleId)
    if (tenant === undefined) throw new HostedError('no-tenant', `${moduleId}: no such tenant`)
    return tenant.reach()
  }

  /** Reads host.json and the files it names again, whether or not they changed. An invalid file changes nothing. */
  async reload(): Promise<void> {
    await this.#watch?.reload()
  }

  /** Ends the front after it has answered the requests in progress, then the tenants. */
  async stop(): Promise<void> {
    this.#log.info('stopping')
    this.#watch?.close()
    await this.#front.stop()
    await Promise.all([...this.#tenants.values()].map((tenant) => tenant.close()))
    await this.#lock.release()
    this.#log.info('stopped')
  }

  #startWatching(): AccessWatch {
    return watchAccess(() => this.#read(), {
      onChange: (access) => {
        checkReload(this.#access, access)
        logChanges(this.#log, this.#access, access)
        this.#access = access
        this.#front.send({ kind: 'access', access })
      },
      report: (error) => logRefused(this.#log, error),
    })
  }

  /** Applies the present host.json, and returns the files that define access. @throws HostedError `config` */
  async #read(): Promise<AccessFiles & { from: string[] }> {
    const config = await loadHostConfig(this.#file)
    for (const field of FIXED)
      if (JSON.stringify(config[field]) !== JSON.stringify(this.#config[field]))
        this.#log.warn('host.json: this change needs a restart', { field })
    const { root, run, listen, front, idleStopSeconds } = this.#config
    this.#config = { ...config, root, run, listen, front, idleStopSeconds }
    await this.#update()
    return { access: config.access, tls: config.tls, base: dirname(this.#file), from: [this.#file] }
  }

  /** Adds new tenants, and stops those that were removed from host.json. Their ledgers stay in place. */
  async #update(): Promise<void> {
    const ids = new Set(this.#config.tenants.map(({ moduleId }) => moduleId))
    const added = [...ids].filter((moduleId) => !this.#tenants.has(moduleId))
    const gone = [...this.#tenants.values()].filter(({ moduleId }) => !ids.has(moduleId))
    if (added.length === 0 && gone.length === 0) return
    for (const moduleId of added) this.#add(moduleId)
    for (const { moduleId } of gone) {
      this.#tenants.delete(moduleId)
      this.#payloads.delete(moduleId)
    }
    this.#front.send({ kind: 'tenants', tenants: [...ids] })
    this.#log.info('tenants changed', { added: added.length, removed: gone.length, tenants: ids.size })
    await Promise.all(gone.map((tenant) => tenant.close()))
  }

  #add(moduleId: string): void {
    this.#tenants.set(
      moduleId,
      new TenantProcess({
        moduleId,
        socket: socketOf(this.#config, moduleId),
        launch: () => {
          const tenant = this.#config.tenants.find((one) => one.moduleId === moduleId)
          this.#payloads.set(moduleId, tenant?.maxPayloadBytes)
          return this.#launcher.launch(this.#config, moduleId)
        },
        slots: this.#slots,
        log: this.#log,
        gone: () => this.#front.send({ kind: 'gone', moduleId }),
      }),
    )
  }

  #frontSettings(): FrontSettings {
    const { listen, metrics, idleStopSeconds, tenants } = this.#config
    return {
      listen,
      ...(this.#given === undefined ? {} : { given: givenTo(this.#given) }),
      ...(metrics === undefined ? {} : { metrics }),
      access: this.#access,
      tenants: tenants.map(({ moduleId }) => moduleId),
      idleMs: idleStopSeconds * 1000,
    }
  }
}

/** Checks the listen addresses. The host's metrics need no credentials, so their address must be local. @throws HostedError `usage` */
function checkAddresses(
  { listen, metrics }: HostConfig,
  access: AccessSettings,
  given?: readonly Inherited[],
): void {
  if (given === undefined) for (const address of listen) checkListen(parseListen(address), access)
  else for (const { name, listen: bound } of given) checkListen(bound, name === METRICS ? OPEN : access)
  if (metrics !== undefined) checkListen(parseListen(metrics), OPEN)
}

/** The name of the inherited socket that serves metrics. */
const METRICS = 'metrics'

function descriptorsOf(given: readonly Inherited[] = []): number[] {
  return given.flatMap(({ listen: { fd } }) => (fd === undefined ? [] : [fd]))
}

/** Returns the inherited sockets with their descriptors in the front. */
function givenTo(given: readonly Inherited[]): GivenSockets {
  const there = given.map(({ name, listen }, i) => ({ name, listen: { ...listen, fd: FIRST_GIVEN + i } }))
  const metrics = there.find(({ name }) => name === METRICS)?.listen
  return {
    listen: there.filter(({ name }) => name !== METRICS).map(({ listen }) => listen),
    ...(metrics === undefined ? {} : { metrics }),
  }
}

/** Creates the host's directories, and checks that its processes can access the files that they need. */
async function prepare(config: HostConfig, program: string): Promise<void> {
  checkTools()
  await prepareRoot(config)
  await prepareRun(config)
  if (!isRoot()) return
  for (const file of [program, realpathSync(process.execPath)]) checkReadable(file)
  for (const dir of [config.root, config.run]) checkReachable(join(dir, 'x'))
}

async function lockRun({ run }: HostConfig): Promise<DirectoryLock> {
  try {
    return await lockDirectory(join(run, HOST_DIR))
  } catch (error) {
    // The lock's message speaks of a ledger, so take only the process from it.
    const who = /process \d+/.exec(messageOf(error))?.[0] ?? messageOf(error)
    throw new HostedError('start', `${run}: another host uses this directory (${who})`, { cause: error })
  }
}
