import { expect, it } from 'vitest'
import { HostedError } from '@service-fs/http/errors'
import { startChild } from './child.ts'
import { FrontLink } from './front-link.ts'

/** Links a front that runs `script` on its first start, and does nothing after a restart. */
async function linked(script: string, reach: (moduleId: string) => Promise<string>) {
  const warnings: object[] = []
  let starts = 0
  const link = new FrontLink({
    launch: () =>
      startChild(
        [
          process.execPath,
          '-e',
          `${starts++ === 0 ? script : ''};console.log('{"urls":[]}'); setInterval(() => 0, 1000)`,
        ],
        { openFiles: 256 },
      ),
    settings: () => ({
      listen: [],
      access: { rate: {}, oidc: [], certificates: [], behindTls: false, connections: {} },
      tenants: [],
      idleMs: 0,
    }),
    reach,
    idle: () => undefined,
    log: {
      info: () => undefined,
      warn: (line, fields) => void warnings.push({ line, ...fields }),
      error: () => undefined,
    },
  })
  await link.start()
  return { link, warnings }
}

it.each([
  ['invalid JSON', `require('fs').writeSync(3, 'garbage\\n')`],
  ['an internal message of Node.js', `process.send({ cmd: 'NODE_HANDLE', type: 'net.Socket' })`],
  ['a message of a tenant', `process.send({ kind: 'flags', id: 1, verb: 'hello' })`],
  [
    'two requests for one tenant',
    `for (const id of [1, 2]) process.send({ kind: 'reach', id, moduleId: 'acme' })`,
  ],
])('the supervisor kills a front that sends %s, and starts another', async (_, script) => {
  const { link, warnings } = await linked(
    `process.once('message', () => { ${script} })`,
    () => new Promise(() => undefined),
  )
  await expect.poll(() => warnings).toHaveLength(2)
  expect(warnings).toMatchObject([
    { line: 'front killed' },
    { line: 'front ended by itself', ended: 'SIGKILL' },
  ])
  await expect.poll(() => link.pid).toBeTypeOf('number')
  await link.stop()
})

it('the supervisor answers the requests of the front one after the other', async () => {
  const script = `
    process.once('message', () => process.send({ kind: 'reach', id: 1, moduleId: 'acme' }))
    process.on('message', ({ kind, id, socket, code }) => {
      if (kind === 'reached' && socket === '/s') process.send({ kind: 'reach', id: 2, moduleId: 'acme' })
      if (kind === 'refused' && id === 2 && code === 'no-tenant') process.exit(7)
    })`
  let asked = 0
  const { link, warnings } = await linked(script, async () => {
    if (asked++ === 0) return '/s'
    throw new HostedError('no-tenant', 'no such tenant')
  })
  await expect.poll(() => warnings).toMatchObject([{ ended: 'status 7' }])
  await link.stop()
})
