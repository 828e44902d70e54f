// A Fastify application with the plugin, over HTTP, with the test's wall clock.

import type { AddressInfo } from 'node:net'
import fastify, { type FastifyInstance } from 'fastify'
import { frameworkErrors, serviceFs } from '@service-fs/fastify'
import { CODINGS } from '@service-fs/http/gunzip-body'
import type { WireSubject } from '@service-fs/wire/conformance-tools'
import { openInProcess, type InProcess } from '@service-fs/wire/in-process'
import { Asker } from './ask.ts'
import { MODULE_ID } from './core.ts'
import { keys, posixPlace, testRuntime } from './cores.ts'

interface Life {
  readonly server: InProcess
  readonly app: FastifyInstance
  readonly asker: Asker
}

/** Listens with the plugin under `prefix`, on a new ledger. */
export async function openFastify(prefix: string): Promise<WireSubject> {
  const place = await posixPlace()
  const runtime = testRuntime()
  let requests = 0
  const open = async (): Promise<Life> => {
    const server = await openInProcess({
      moduleId: MODULE_ID,
      keys,
      storages: await place.open(),
      runtime,
      requestId: () => `made-${++requests}`,
      codings: CODINGS,
    })
    const app = fastify({ forceCloseConnections: true, frameworkErrors })
    await app.register(serviceFs, { wire: server.wire, prefix })
    await app.listen({ host: '127.0.0.1', port: 0 })
    return { server, app, asker: new Asker((app.server.address() as AddressInfo).port) }
  }
  let life = await open()
  const leave = async (how: 'stop' | 'kill'): Promise<void> => {
    life.asker.close()
    await life.app.close()
    if (how === 'stop') await life.server.close()
    await place.drop()
  }
  return {
    request: (method, target, ...rest) => life.asker.ask(method, prefixed(target, prefix), ...rest),
    advance: (ms) => runtime.advance(ms),
    async reopen(how) {
      await leave(how)
      life = await open()
    },
    async dispose() {
      await leave('stop')
      await place.dispose()
    },
  }
}

/** Puts the prefix before the path, also of a target in absolute form. */
function prefixed(target: string, prefix: string): string {
  const [, authority = '', path = ''] = /^(https?:\/\/[^/]*)?(.*)$/s.exec(target) ?? []
  return authority + prefix + path
}
