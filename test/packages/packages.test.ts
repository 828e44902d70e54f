// Installs the packages, as npm publishes them, into a project outside of this repository.

import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { makeLedger, testRecords } from '@service-fs/client/testing'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { startDaemon, type Daemon } from '../support/daemon.ts'
import { repoRoot } from '../support/root.ts'
import { bundled, opened, type Change } from './browser.ts'
import { createProject, nodeOf, type Project } from './project.ts'
import { exampleOf, published } from './readmes.ts'
import { serveDemo, type Served } from './served.ts'

type Page = typeof import('./in-browser.ts')

/** The oldest Node.js that is supported, and the newest of the two later lines. */
const LATER = ['22.23.3', '24.21.0']
const NODES = ['20.19.0', ...(process.env['QUICK'] === '1' ? [] : LATER)]

const LETTER_A = 0x41

const created = await createProject()
const missing = typeof created === 'string' ? created : undefined
const project = created as Project
const examples = published.map(exampleOf)
afterAll(() => (missing === undefined ? project.dispose() : undefined))

const why = missing === undefined ? '' : ` (skipped: ${missing})`

describe.skipIf(missing !== undefined)(`the packages on npm${why}`, () => {
  let served: Served
  beforeAll(async () => {
    served = await serveDemo()
    for (const { name, code } of examples)
      await project.write(`${name}.ts`, code.replaceAll('http://127.0.0.1:8080', served.url))
  })
  afterAll(() => served.close())

  it('hold only modules, declarations, a README and the license', async () => {
    for (const tarball of project.tarballs) {
      const { stdout } = await project.run('tar', ['-tzf', tarball])
      const names = stdout.trim().split('\n')
      const others = names.filter((name) => !/^package\/dist\/.*\.(?:js|d\.ts)$/.test(name))
      expect([tarball, others.sort()]).toEqual([
        tarball,
        ['package/LICENSE', 'package/README.md', 'package/package.json'],
      ])
      expect(names.filter((name) => name.includes('.test.'))).toEqual([])
    }
  })

  it('verify a large ledger in threads', async () => {
    const ledger = join(project.directory, 'ledger')
    await makeLedger(ledger, { records: testRecords(130 * 256), tail: 'export' })
    await project.write(
      'threads.js',
      `import threads from 'node:worker_threads'
      import { syncBuiltinESMExports } from 'node:module'
      let started = 0
      threads.Worker = class extends threads.Worker {
        constructor(...args) {
          super(...args)
          started += 1
        }
      }
      syncBuiltinESMExports()
      const { verifyPlace } = await import('@service-fs/client')
      const { ok, size } = await verifyPlace('ledger')
      console.log(ok, size, started > 0)`,
    )
    const { stdout, stderr } = await project.run(process.execPath, ['threads.js'])
    expect([stdout, stderr]).toEqual([`true ${130 * 256} true\n`, ''])
  })

  it('depend on released versions', async () => {
    for (const tarball of project.tarballs) {
      const { stdout } = await project.run('tar', ['-xzOf', tarball, 'package/package.json'])
      expect(stdout).not.toMatch(/workspace:|catalog:|"\.\/src/)
      const { version, dependencies = {} } = JSON.parse(stdout)
      for (const [name, range] of Object.entries(dependencies))
        if (name.startsWith('@service-fs/')) expect([name, range]).toEqual([name, version])
    }
  })

  it('have declarations that TypeScript accepts without skipping them', async () => {
    const options = ['--module', 'nodenext', '--target', 'es2023', '--strict', '--outDir', '.']
    const files = examples.map(({ name }) => `${name}.ts`)
    const tsc = join(repoRoot, 'node_modules/.bin/tsc')
    const { code, stdout } = await project.run(tsc, [...options, ...files])
    expect([code, stdout]).toEqual([0, ''])
  })

  it('verify in a browser, without modules of Node.js', async () => {
    const { prints = '' } = examples.find(({ name }) => name === 'tlog') ?? {}
    const lines: string[] = []
    opened(await bundled(project, 'tlog.js'), { console: { log: (line: string) => lines.push(line) } })
    expect(lines).toEqual([prints.trim()])
  })

  describe('the client in a browser', () => {
    let daemon: Daemon
    let page: string
    const open = (change?: Change): Page => opened(page, {}, change) as Page
    beforeAll(async () => {
      daemon = await startDaemon()
      await project.write('in-browser.ts', await readFile(join(import.meta.dirname, 'in-browser.ts'), 'utf8'))
      page = await bundled(project, 'in-browser.ts')
      expect(await open().append(daemon.prefix)).toBe(300)
    })
    afterAll(() => daemon.dispose())

    it('needs nothing of Node.js', () => {
      expect(page.match(/.*(?:\bBuffer\b|(?<!\.)\bprocess\.|["'](?:node:|undici)).*/g)).toBeNull()
    })

    it('verifies the checkpoint, inclusion proofs and every entry of a ledger', async () => {
      const [, size, root] = (await (await daemon.fetch('checkpoint')).text()).split('\n')
      const first = (await readFile(join(daemon.dir, 'tile/0/000.b64'), 'utf8')).split('\n')[0]
      const found = await open().verify(daemon.prefix, await daemon.vkey())
      expect(found).toEqual({
        size: Number(size),
        leaf: first,
        ids: 300,
        text: 'größe 17',
        large: 150_000,
        followed: '1,4',
        ok: true,
        root,
        pinned: true,
      })
    })

    it.each([
      ['the signature of a checkpoint', /\/checkpoint$/, -9],
      ['an entry', /\/tile\/entries\/000$/, 200],
      ['a hash of a full tile', /\/tile\/0\/000$/, 200],
      ['a hash of a partial tile', /\/tile\/1\/000\.p\/1$/, 8],
      ['the payload of a record', /\/v1\/records\/order-17$/, -6],
      ['an inclusion proof', /\/v1\/entries\/\d+\/proof$/, 180],
    ])('refuses %s that was changed on the way', async (_, path, at) => {
      let changed = 0
      const change: Change = (url, body) => {
        if (!path.test(url)) return undefined
        changed += 1
        return body.slice().fill(body.at(at) === LETTER_A ? LETTER_A + 1 : LETTER_A, at, at + 1)
      }
      const found = await open(change).verify(daemon.prefix, await daemon.vkey())
      expect([changed > 0, found]).toEqual([true, { code: 'false' }])
    })
  })

  describe.each(NODES)('in Node.js %s', async (version) => {
    const node = await nodeOf(version)
    it.skipIf('missing' in node).each(examples)('runs the example of $name', async ({ name, prints }) => {
      if ('missing' in node) return
      const { code, stdout, stderr } = await project.run(node.path, [`${name}.js`])
      expect({ code, stdout, stderr }).toEqual({ code: 0, stdout: prints, stderr: '' })
    })
  })
})
