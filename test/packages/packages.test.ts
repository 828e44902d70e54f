// The packages as npm publishes them, in a project that has nothing of this repository.

import { webcrypto } from 'node:crypto'
import { join } from 'node:path'
import { runInNewContext } from 'node:vm'
import { build } from 'esbuild'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { repoRoot } from '../support/root.ts'
import { createProject, nodeOf, type Project } from './project.ts'
import { exampleOf, published } from './readmes.ts'
import { serveDemo, type Served } from './served.ts'

/** The oldest Node.js that is supported, and the newest of the two later lines. */
const LATER = ['22.23.3', '24.21.0']
const NODES = ['20.19.0', ...(process.env['QUICK'] === '1' ? [] : LATER)]

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

  it('hold modules, declarations, a README and the license, and nothing else', async () => {
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

  it('verify in a browser, which has no modules of Node.js', async () => {
    const { prints = '' } = examples.find(({ name }) => name === 'tlog') ?? {}
    const bundled = await build({
      entryPoints: [join(project.directory, 'tlog.js')],
      bundle: true,
      platform: 'browser',
      format: 'iife',
      write: false,
    })
    const lines: string[] = []
    const globals = { console: { log: (line: string) => lines.push(line) }, crypto: webcrypto, TextEncoder }
    runInNewContext(bundled.outputFiles[0]?.text ?? '', globals)
    expect(lines).toEqual([prints.trim()])
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
