// Checks the contents of dist/bundle.js: it uses no API of Node.js or the web.
import { execFile } from 'node:child_process'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { beforeAll, expect, it } from 'vitest'
import { Engine } from './engine.ts'
import { MACHINE } from './machine.ts'

const run = promisify(execFile)
const folder = fileURLToPath(new URL('../../bundle', import.meta.url))
const bundle = join(folder, 'dist/bundle.js')

interface Metafile {
  inputs: Record<string, { imports: { path: string; external?: boolean }[] }>
  outputs: Record<string, { imports: unknown[]; inputs: Record<string, { bytesInOutput: number }> }>
}

let meta: Metafile
beforeAll(async () => {
  await run(process.execPath, [join(folder, 'build.mjs')])
  meta = JSON.parse(await readFile(join(folder, 'dist/bundle.meta.json'), 'utf8')) as Metafile
})

const written = (): string[] =>
  Object.values(meta.outputs).flatMap(({ inputs }) =>
    Object.entries(inputs).flatMap(([path, { bytesInOutput }]) => (bytesInOutput > 0 ? [path] : [])),
  )

it('the bundle has no imports, and contains no module of Node.js', () => {
  expect(Object.values(meta.outputs).flatMap(({ imports }) => imports)).toEqual([])
  const imported = Object.values(meta.inputs).flatMap(({ imports }) => imports)
  expect(imported.filter(({ path, external }) => external === true || path.startsWith('node:'))).toEqual([])
})

it('the bundle contains only the neutral packages and valibot: no curves, no portable hash, no signers', () => {
  const origin = /packages\/([^/]+)\/src\/|\/(valibot)@|^(bundle)\/src\//
  const origins = new Set(written().map((path) => origin.exec(path)?.slice(1).join('') ?? path))
  expect([...origins].sort()).toEqual(
    ['bundle', 'format', 'ledger', 'storage', 'storage-psdb', 'tlog', 'valibot', 'wire'].sort(),
  )
  const unwanted = /absent|noble|\/keys\.ts|scheme\.ts|policy\.ts|testing|storage\/src\/memory\.ts/
  expect(written().filter((path) => unwanted.test(path))).toEqual([])
})

/** Returns the names in a script that neither the script nor ECMAScript declares. */
async function unknownNames(script: string): Promise<(string | undefined)[]> {
  const tsc = join(dirname(createRequire(import.meta.url).resolve('typescript/package.json')), 'bin/tsc')
  const flags =
    '--ignoreConfig --allowJs --checkJs --noEmit --strict false --target es2023 --lib es2024 --types'
  const checked = run(process.execPath, [tsc, ...flags.split(' '), '', script])
  const { stdout } = await checked.catch((error: { stdout: string }) => error)
  // JavaScript allows what TypeScript's other errors report.
  return [...stdout.matchAll(/Cannot find name '([^']+)'/g)].map(([, name]) => name)
}

it('the bundle uses only names that ECMAScript declares', async () => {
  expect(await unknownNames(bundle)).toEqual([])
  const dir = await mkdtemp(join(tmpdir(), 'bundle-'))
  const foreign = join(dir, 'foreign.js')
  await writeFile(foreign, 'setTimeout(() => console.log(new TextEncoder(), process, Buffer), 1)')
  expect(await unknownNames(foreign)).toEqual(['setTimeout', 'console', 'TextEncoder', 'process', 'Buffer'])
  await rm(dir, { recursive: true })
})

it('the bundle runs with only ECMAScript and the host', async () => {
  const engine = await Engine.create({ memoryBytes: 64 * 2 ** 20, callMs: 5000 })
  const said: (string | undefined)[] = []
  engine.define('host', {
    ...MACHINE,
    say(given) {
      said.push(given.text(0))
    },
    timer() {},
    psdbSend() {
      said.push('a message to PSDB')
    },
  })
  engine.evaluate('host.say(Object.getOwnPropertyNames(globalThis).join())', 'globals.js')
  const absent =
    /\b(process|Buffer|console|print|setTimeout|queueMicrotask|TextEncoder|URL|crypto|performance|fetch|require|std|os)\b/
  expect(said[0]).not.toMatch(absent)
  engine.evaluate(await readFile(bundle, 'utf8'), 'bundle.js')
  engine.evaluate('host.say(Object.getOwnPropertyNames(globalThis).slice(-2).join())', 'globals.js')
  expect(said[1]).toBe('host,serviceFs')
  engine.bind('serviceFs')
  const key = 'example.org/a+b9dbef58+AWJrZXkgdGhhdCBpcyBhbnkgMzIgYnl0ZXMgdGhlcmUg'
  engine.call(
    'start',
    JSON.stringify({ moduleId: 'a', origin: 'example.org/a', vkeys: [key, key], regionBytes: 2 ** 25 }),
  )
  expect(said.length).toBeGreaterThan(1)
})
