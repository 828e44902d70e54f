/** Starts the tenants' processes, each as its own user in its own directories. */
import { join } from 'node:path'
import { Limiter } from '@service-fs/storage/limiter'
import { HostedError } from '@service-fs/http/errors'
import type { Logger } from '../process/log.ts'
import { startChild, type Child } from './child.ts'
import type { HostConfig } from './config.ts'
import { isPrepared, prepareSocket, prepareTenant } from './directories.ts'
import type { Owner } from './files.ts'
import { serveFlags } from './flag-service.ts'
import { tenantCommand } from './launch.ts'
import { RootLock } from './root-lock.ts'
import { isRoot, Users } from './uids.ts'

export class TenantLauncher {
  readonly #program: string
  readonly #log: Logger
  readonly #checks = new Limiter(1)
  readonly #lock: RootLock

  constructor(root: string, program: string, log: Logger) {
    this.#lock = new RootLock(root)
    this.#program = program
    this.#log = log
  }

  /** Starts a tenant's process. @throws HostedError `config` when another user owns its directories; `key` when its keys are missing */
  async launch(config: HostConfig, moduleId: string): Promise<Child> {
    const tenant = config.tenants.find((one) => one.moduleId === moduleId)
    if (tenant === undefined) throw new HostedError('no-tenant', `${moduleId}: no such tenant`)
    const work = async (): Promise<Owner | undefined> => {
      const found = isRoot() ? await new Users(config).ownerOf(tenant) : undefined
      await prepareTenant(config, tenant, found)
      return found
    }
    // Take the lock only to create something, so that a hanging disk does not delay other tenants.
    const owner = (await isPrepared(config, tenant)) ? await work() : await this.#lock.with(work)
    await prepareSocket(config, moduleId, owner)
    const child = startChild(...tenantCommand(this.#program, config, tenant, owner))
    serveFlags(child.channel, {
      dir: join(config.root, moduleId),
      uid: owner?.uid ?? process.getuid?.() ?? 0,
      checks: this.#checks,
      misbehaved: (reason) => {
        this.#log.warn('tenant killed', { tenant: moduleId, reason })
        child.process.kill('SIGKILL')
      },
    })
    return child
  }
}
