// The programs in examples/ work against a daemon: each language appends a record, follows the ledger and verifies the record.
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { build } from 'esbuild'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Daemon, startDaemon } from '../support/daemon.ts'
import { goBuild, goModules, goVersion } from '../support/go.ts'
import { run, type Finished } from '../support/process.ts'
import { repoRoot } from '../support/root.ts'
import { testSigner } from '@service-fs/client/testing'

type Program = 'append' | 'follow' | 'verify'
interface Language {
  name: string
  /** Names a missing tool, if any. */
  missing(): Promise<string | undefined>
  /** Copies the programs into the directory and builds those that need a build. */
  prepare(built: string): Promise<void>
  command(program: Program, built: string): readonly [string, ...string[]]
}

const examples = join(repoRoot, 'examples')
const nothing = (): Promise<void> => Promise.resolve()

/** Names the commands that fail or do not exist. */
async function missingCommands(
  commands: readonly (readonly [string, ...string[]])[],
): Promise<string | undefined> {
  for (const [command, ...args] of commands) {
    const found = await run(command, args).catch(() => undefined)
    if (found?.code !== 0) return `no ${command}`
  }
  return undefined
}

const languages: Language[] = [
  {
    name: 'Node.js',
    missing: () => Promise.resolve(undefined),
    // Node.js 20 does not read the packages' TypeScript.
    prepare: async (built) => {
      const names = ['append', 'follow', 'verify']
      await build({
        entryPoints: names.map((name) => join(examples, 'node', `${name}.mjs`)),
        outdir: built,
        outExtension: { '.js': '.mjs' },
        bundle: true,
        platform: 'node',
        format: 'esm',
        banner: {
          js: "import { createRequire } from 'node:module'; const require = createRequire(import.meta.url)",
        },
      })
    },
    command: (program, built) => [process.execPath, join(built, `${program}.mjs`)],
  },
  {
    name: 'Python',
    missing: () => missingCommands([['python3', '--version']]),
    prepare: nothing,
    command: (program) => ['python3', '-B', join(examples, 'python', `${program}.py`)],
  },
  {
    name: 'Go',
    missing: async () => (goVersion === undefined ? 'no go' : await goModules(join(examples, 'go'))),
    prepare: (built) => goBuild(join(examples, 'go'), built, ['./append', './follow', './verify']),
    command: (program, built) => [join(built, program)],
  },
  {
    name: 'curl',
    missing: () =>
      missingCommands([
        ['curl', '--version'],
        ['openssl', 'version'],
        ['sh', '-c', 'command -v base64 sha256sum od fold'],
      ]),
    prepare: nothing,
    command: (program) => ['sh', join(examples, 'curl', `${program}.sh`)],
  },
]

const found = await Promise.all(
  languages.map(async (language) => ({ language, missing: await language.missing() })),
)

let work = ''
let daemon: Daemon
beforeAll(async () => {
  work = mkdtempSync(join(tmpdir(), 'service-fs-examples-'))
  daemon = await startDaemon()
})
afterAll(async () => {
  await daemon.dispose()
  rmSync(work, { recursive: true, force: true })
})

describe.each(found)('examples in $language.name', ({ language, missing }) => {
  const title = missing === undefined ? '' : ` (skipped: ${missing})`
  const id = `papers/${language.name}/größe 1.txt`
  const large = `papers/${language.name}/large`
  let built = ''
  const example = (program: Program, ...args: string[]): Promise<Finished> => {
    const [command, ...first] = language.command(program, built)
    return run(command, [...first, daemon.prefix, ...args])
  }
  const file = (name: string, content: string | Uint8Array): string => {
    const path = join(built, name)
    writeFileSync(path, content)
    return path
  }

  beforeAll(async () => {
    if (missing !== undefined) return
    built = join(work, language.name)
    mkdirSync(built)
    await language.prepare(built)
  })

  it.skipIf(missing !== undefined)(`append, follow and verify a record${title}`, async () => {
    const small = file('small', `Invoice by ${language.name}\n\nid: another\n`)
    const split = file('split', Buffer.alloc(150_000, `A long record by ${language.name}. `))
    const { size: since } = (await (
      await daemon.fetch('/v1/checkpoint', { headers: { accept: 'application/json' } })
    ).json()) as { size: number }
    for (const [name, path] of [
      [id, small],
      [large, split],
    ] as const) {
      const appended = await example('append', name, path)
      expect(appended, appended.stderr).toMatchObject({ code: 0 })
      expect(appended.stdout).toContain(language.name === 'curl' ? '"duplicate":false' : `${name} is entry`)
    }

    const followed = await example('follow', String(since), '2')
    expect(followed, followed.stderr).toMatchObject({ code: 0 })
    const lines = followed.stdout.trim().split('\n')
    if (language.name === 'curl')
      expect(lines.map((line) => (JSON.parse(line) as { payload_id: string }).payload_id)).toEqual([
        id,
        large,
      ])
    else expect(lines).toEqual([`${since + 1} ${id}`, `${since + 2} ${large}`])

    for (const [name, path] of [
      [id, small],
      [large, split],
    ] as const) {
      const proved = await example('verify', await daemon.vkey(), name, path)
      expect(proved, proved.stderr).toMatchObject({ code: 0 })
      expect(proved.stdout).toMatch(/^true: .* is entry \d+ of \d+ in service-fs\.local\/ledger\/test\n$/)
    }
  })

  it.skipIf(missing !== undefined)(
    `reject a changed file, another record's name and a wrong key${title}`,
    async () => {
      const vkey = await daemon.vkey()
      const [name = ''] = vkey.split('+')
      const small = file('small', `Invoice by ${language.name}\n\nid: another\n`)
      const changed = file('changed', `Invoice by ${language.name}!\n\nid: another\n`)
      for (const args of [
        [vkey, id, changed],
        [vkey, large, small],
        [testSigner(name).vkey, id, small],
      ]) {
        const refused = await example('verify', ...args)
        expect(refused.stdout).toMatch(/^false: /)
        expect(refused.code).toBe(1)
      }
    },
  )
})
