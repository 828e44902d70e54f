/** Starts tenants' processes, each in directories of its own user. */
import { HostedError } from '../errors.ts'
import { startChild, type Child } from './child.ts'
import type { HostConfig } from './config.ts'
import { prepareSocket, prepareTenant } from './directories.ts'
import { tenantCommand } from './launch.ts'
import { withRootLock } from './root-lock.ts'
import { isRoot, ownerOf } from './uids.ts'

export class TenantLauncher {
  readonly #program: string

  constructor(program: string) {
    this.#program = program
  }

  /** @throws HostedError `config`, `key`: what is there of it is another's, or not all there */
  async launch(config: HostConfig, moduleId: string): Promise<Child> {
    const tenant = config.tenants.find((one) => one.moduleId === moduleId)
    if (tenant === undefined) throw new HostedError('no-tenant', `${moduleId}: no such tenant`)
    const owner = await withRootLock(config.root, async () => {
      const found = isRoot() ? await ownerOf(config, tenant) : undefined
      await prepareTenant(config, tenant, found)
      return found
    })
    await prepareSocket(config, moduleId, owner)
    return startChild(...tenantCommand(this.#program, config, tenant, owner))
  }
}
