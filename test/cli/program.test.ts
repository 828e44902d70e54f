// All commands of service-fs together: suggestions for misspelled words, completion in real shells, and the man page.
import { spawnSync } from 'node:child_process'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { commandTree, flatten, type CommandNode } from '@service-fs/cli/command-tree'
import { CLIENT_COMMANDS } from '@service-fs/cli/command-loaders'
import { emptyProgram } from '@service-fs/cli/empty-program'
import { buildProgram } from '@service-fs/cli/program'
import { Exit, testIo, type TestIo } from '@service-fs/cli/testing'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { COMMANDS } from '../../app/src/commands.ts'

let dir = ''
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'service-fs-program-'))
})
afterAll(() => rm(dir, { recursive: true, force: true }))

async function wholeProgram(io: TestIo): Promise<ReturnType<typeof buildProgram>> {
  const program = buildProgram(io)
  for (const load of Object.values(COMMANDS)) (await load())(program, io)
  return program
}

async function run(...args: string[]): Promise<TestIo> {
  const io = testIo()
  try {
    await (await wholeProgram(io)).parseAsync(args, { from: 'user' })
  } catch (error) {
    if (!(error instanceof Exit)) throw error
  }
  return io
}

/** Each command, without the `help` that commander adds. */
const nodes: CommandNode[] = flatten(commandTree(await wholeProgram(testIo()))).filter(
  ({ path }) => path.at(-1) !== 'help',
)
const leaves = nodes.filter(({ commands }) => commands.length === 0)
const groups = nodes.filter(({ commands }) => commands.length > 0)

const named = (all: CommandNode[]): [string, CommandNode][] =>
  all.map((node) => [['service-fs', ...node.path].join(' '), node])

/** The text without its last letter but one. */
const misspelled = (text: string): string => text.slice(0, -2) + text.slice(-1)

it('the program has the commands of both envelopes and of the client', () => {
  const paths = leaves.map(({ path }) => path.join(' '))
  expect(paths).toEqual(
    expect.arrayContaining(['append', 'audit ls', 'serve', 'host', 'tenant add', 'token rotate']),
  )
})

it.each(Object.entries(CLIENT_COMMANDS))(
  'the program loads the command %s alone with the same options as in the whole program',
  async (name, load) => {
    const ofName = (program: ReturnType<typeof emptyProgram>): CommandNode[] =>
      commandTree(program).commands.filter(({ path }) => path[0] !== 'help' && path[0] === name)
    const io = testIo()
    const alone = emptyProgram(io)
    ;(await load())(alone, io)
    expect(ofName(alone)).toHaveLength(1)
    expect(ofName(alone)).toEqual(ofName(buildProgram(testIo())))
  },
)

describe.each(named(leaves))('%s', (_, { path, options }) => {
  it('suggests the right name for each misspelled option', async () => {
    for (const name of options.flatMap(({ names }) => names.filter((text) => text.startsWith('--')))) {
      const { code, errors } = await run(...path, misspelled(name))
      expect([code, errors[0]], name).toEqual([2, `error: unknown option '${misspelled(name)}'`])
      expect(errors[1], name).toMatch(new RegExp(String.raw`^\(Did you mean .*${name}\b.*\?\)$`))
    }
  })
})

describe.each(named(groups))('%s', (_, { path, commands }) => {
  it('suggests the right name for each misspelled command', async () => {
    for (const name of commands.map((command) => command.path.at(-1) ?? '')) {
      if (name.length < 3) continue
      const { code, errors } = await run(...path, misspelled(name))
      expect([code, errors[0]], name).toEqual([2, `error: unknown command '${misspelled(name)}'`])
      expect(errors[1], name).toMatch(new RegExp(String.raw`^\(Did you mean .*${name}.*\?\)$`))
    }
  })
})

/** Returns the suffix for the name of a test whose program is not installed. */
const missing = (program: string): string =>
  spawnSync(program, ['--version']).error === undefined ? '' : ` (skipped: no ${program})`

/** A command line up to the cursor, and the word that a completion has to offer or insert there. */
const LINES: [line: string, word: string][] = [
  ['service-fs verify-', 'verify-proof'],
  ['service-fs tenant rm', 'rm-from-config'],
  ['service-fs audit ls --subj', '--subject'],
  ['service-fs get --url http://localhost:8080 --pre', '--prefix'],
  ['service-fs keygen --algorithm ml', 'ml-dsa-44'],
  ['service-fs verify led', 'ledger file.tar'],
  ['service-fs get --out fol', 'folder'],
  ['service-fs help resto', 'restore'],
]

async function scriptFor(shell: string, name: string): Promise<string> {
  await writeFile(join(dir, 'ledger file.tar'), '')
  await mkdir(join(dir, 'folder'), { recursive: true })
  const io = await run('completion', shell)
  expect(io.code).toBe(0)
  await writeFile(join(dir, name), io.text())
  return join(dir, name)
}

const noBash = missing('bash') || missing('script')

it.skipIf(noBash !== '')(`the completion script works in bash${noBash}`, async () => {
  const file = await scriptFor('bash', 'service-fs.bash')
  // The function prints the words that bash passes after it has completed the line.
  const setUp = `service-fs() { printf '<%s>' "$@"; echo; }; source ${file}; cd ${dir}\n`
  const input = LINES.map(([line]) => `${line}\t\n`).join('')
  const bash = spawnSync('script', ['-qec', 'bash --norc --noprofile -i', '/dev/null'], {
    input: `${setUp}${input}exit\n`,
    encoding: 'utf8',
    env: { ...process.env, TERM: 'dumb', PS1: '', INPUTRC: '/dev/null' },
    timeout: 60_000,
  })
  for (const [line, word] of LINES) expect(bash.stdout, line).toMatch(new RegExp(`<${word}/?>`))
})

const noFish = missing('fish')

it.skipIf(noFish !== '')(`the completion script works in fish${noFish}`, async () => {
  const file = await scriptFor('fish', 'service-fs.fish')
  for (const [line, word] of LINES) {
    const fish = spawnSync('fish', ['--no-config', '-c', `source ${file}; complete -C '${line}'`], {
      cwd: dir,
      encoding: 'utf8',
      env: { ...process.env, HOME: dir },
      timeout: 60_000,
    })
    expect(fish.stderr, line).toBe('')
    const offered = fish.stdout.split('\n').map((candidate) => candidate.split('\t')[0]?.replace(/\/$/, ''))
    expect(offered, line).toContain(word)
  }
})

/** Completes each line in an interactive zsh in a pseudo-terminal, and prints the lines that result. */
const CAPTURE = `
zmodload zsh/zpty
zpty z zsh -f -i
zpty -w z "PS1=; autoload -U compinit; compinit -u -D; cd $1; source $2"
zpty -w z "print-line() { print -r -- \\"LINE\\$BUFFER\\"END; BUFFER=; zle accept-line }; zle -N print-line; bindkey '^P' print-line"
zpty -w z "echo REA''DY"
zpty -r z got '*READY*'
for line in "$@[3,-1]"; do
  zpty -w -n z "$line"$'\\t\\x10'
  zpty -r z got '*LINE*END*'
  print -r -- "$got"
done
`

const noZsh = missing('zsh')

it.skipIf(noZsh !== '')(`the completion script works in zsh${noZsh}`, async () => {
  const file = await scriptFor('zsh', '_service-fs')
  const zsh = spawnSync('zsh', ['-f', '-c', CAPTURE, 'zsh', dir, file, ...LINES.map(([line]) => line)], {
    encoding: 'utf8',
    env: { ...process.env, TERM: 'dumb', HOME: dir },
    timeout: 60_000,
  })
  const completed = [...zsh.stdout.matchAll(/LINE(.*)END/g)].map(([, line]) => line?.replaceAll('\\', ''))
  expect(completed, zsh.stderr).toHaveLength(LINES.length)
  for (const [i, [line, word]] of LINES.entries()) expect(completed[i], line).toContain(` ${word}`)
})

it('the program rejects a shell without a completion script', async () => {
  const { code, errors } = await run('completion', 'tcsh')
  expect([code, errors[0]]).toEqual([2, expect.stringContaining('Allowed choices are bash, zsh, fish')])
})

describe('service-fs.1', () => {
  it('lists each command with its options', async () => {
    const page = (await run('man')).text().replaceAll('\\-', '-')
    for (const { path, options } of leaves) {
      expect(page).toContain(`.SS "service-fs ${path.join(' ')}`)
      for (const { names } of options) expect(page).toContain(`\\fB${names.at(-1)}\\fR`)
    }
  })

  for (const [program, ...args] of [
    ['mandoc', '-Tlint', '-Wwarning'],
    ['groff', '-ww', '-man', '-z', '-Tutf8'],
  ] as const) {
    const why = missing(program)
    it.skipIf(why !== '')(`passes ${program}${why}`, async () => {
      vi.stubEnv('SOURCE_DATE_EPOCH', '1795910400')
      const file = join(dir, 'service-fs.1')
      await writeFile(file, (await run('man')).text())
      vi.unstubAllEnvs()
      const { status, stdout, stderr } = spawnSync(program, [...args, file], { encoding: 'utf8' })
      expect([status, stdout, stderr]).toEqual([0, '', ''])
    })
  }
})
