// `npm run docs:api`, which fetches typedoc. It writes into dist/api of this checkout.

import { readdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { run } from '../support/process.ts'
import { repoRoot } from '../support/root.ts'

const api = join(repoRoot, 'dist/api')

/** A class or function of each package that its index exports. */
const DOCUMENTED = {
  client: ['classes', 'Connection'],
  fastify: ['functions', 'serviceFs'],
  format: ['functions', 'parseEntry'],
  tlog: ['functions', 'verifyInclusion'],
  wire: ['functions', 'createWire'],
}

it('the API documentation documents every exported name of the packages on npm', async ({ skip }) => {
  rmSync(api, { recursive: true, force: true })
  const done = await run('npm', ['run', '--silent', 'docs:api'], { cwd: repoRoot, timeoutMs: 550_000 })
  const output = done.stdout + done.stderr
  skip(/\b(?:ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ENOTCACHED)\b/.test(output), 'npm does not reach its registry')
  expect([done.code, output]).toEqual([0, expect.not.stringContaining('[warning]')])
  const pages = readdirSync(api, { recursive: true, encoding: 'utf8' })
  for (const [name, [kind, exported]] of Object.entries(DOCUMENTED)) {
    const page = pages.find((path) => path.startsWith(`${kind}/`) && path.endsWith(`${exported}.html`))
    expect([name, page]).toEqual([name, expect.stringContaining(name)])
  }
})
