// Serves a ledger by Fastify: our listener, its server factory, passes each request to Fastify, which routes it to the plugin.

import fastify from 'fastify'
import { frameworkErrors, serviceFs } from '@service-fs/fastify'
import { startListener } from '@service-fs/http/listener'
import { LISTEN, serveBy } from './served.ts'

await serveBy(async (options) => {
  const app = fastify({ frameworkErrors })
  app.register(serviceFs, options)
  await app.ready()
  return startListener(LISTEN, options, (raw, out) => {
    app.routing(raw, out)
    return Promise.resolve()
  })
})
