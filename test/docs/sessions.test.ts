// Runs the console sessions in README.md, docs/tutorial.md and docs/signed-origin.md, and compares the output with the pages.
import { spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync, chmodSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { startDaemon, type Daemon } from '../support/daemon.ts'
import { noPsdb } from '../envelopes/psdb.ts'
import { freePort } from '../support/process.ts'
import { repoRoot } from '../support/root.ts'
import { agrees, Shell, stepsOf, type Step } from './session.ts'

const textOf = (page: string): string => readFileSync(join(repoRoot, page), 'utf8')

let dir = ''
let daemon: Daemon | undefined
let shell: Shell | undefined
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'sfs-docs-'))
})
afterEach(async () => {
  await shell?.end()
  await daemon?.dispose()
  shell = daemon = undefined
  rmSync(dir, { recursive: true, force: true })
})

/** Runs the steps, with the paths on the page replaced by those in `places`. */
async function play(steps: readonly Step[], places: readonly (readonly [string, string])[]): Promise<void> {
  expect(steps.length).toBeGreaterThan(0)
  const placed = (text: string): string =>
    places.reduce((done, [from, to]) => done.replaceAll(from, to), text)
  const transcript: string[] = []
  for (const { command, expected } of steps) {
    const isAsOnPage = (printed: readonly string[]): boolean => agrees(printed, expected.map(placed))
    // A daemon may answer before it prints its greeting.
    const isWhole = command.includes(' & ') ? isAsOnPage : undefined
    const printed = (await shell?.run(placed(command), isWhole)) ?? []
    transcript.push(`$ ${placed(command)}`, ...printed)
    if (!isAsOnPage(printed))
      throw new Error(`expected\n${expected.join('\n')}\nfound\n${transcript.join('\n')}`)
  }
}

async function serveDemo(): Promise<readonly [string, string]> {
  daemon = await startDaemon({ moduleId: 'demo', root: join(dir, 'data') })
  shell = new Shell(dir, { FS_URL: daemon.url.slice(0, -1) })
  return ['127.0.0.1:8080', new URL(daemon.url).host]
}

it('README.md: append, prove and verify', async () => {
  const place = await serveDemo()
  await play(stepsOf(textOf('README.md')), [place])
})

it('docs/signed-origin.md: sign, append and verify', async () => {
  const place = await serveDemo()
  const page = textOf('docs/signed-origin.md')
  const [, script = ''] = /```js\n([^`]*(?:`[^`]+`[^`]*)*?)```/.exec(page) ?? []
  writeFileSync(join(dir, 'sign.mjs'), script)
  await play(stepsOf(page), [place])
})

describe('docs/tutorial.md', () => {
  const page = textOf('docs/tutorial.md')
  const ONE = [
    'Append and read',
    'Prove a record',
    'Verify a ledger',
    'Use the HTTP API',
    'Check an entry with shell tools',
  ]

  it('one ledger', async () => {
    const place = await serveDemo()
    await play(stepsOf(page, ONE), [place])
  })

  const canSwitchUsers =
    process.getuid?.() === 0 &&
    spawnSync('setpriv', [
      '--reuid=70100',
      '--regid=70100',
      '--clear-groups',
      'test',
      '-x',
      join(repoRoot, 'app/bin'),
    ]).status === 0
  const why = canSwitchUsers ? '' : ' (skipped: not root, or other users cannot read the checkout)'
  it.skipIf(!canSwitchUsers)(`many tenants${why}`, async () => {
    chmodSync(dir, 0o755)
    const port = await freePort()
    mkdirSync(join(dir, 'etc'))
    // A real host makes its files immutable. The test removes the attributes again.
    const settings = { root: '../lib', run: '../run', listen: [`127.0.0.1:${port}`], immutable: 'off' }
    writeFileSync(join(dir, 'etc/host.json'), JSON.stringify(settings), { mode: 0o600 })
    shell = new Shell(dir)
    await play(stepsOf(page, ['Many tenants']), [
      ['127.0.0.1:8080', `127.0.0.1:${port}`],
      ['/etc/service-fs', join(dir, 'etc')],
      ['/var/lib/service-fs', join(dir, 'lib')],
    ])
  })

  const noEnvelopeB = noPsdb === undefined ? '' : ` (skipped: ${noPsdb})`
  it.skipIf(noPsdb !== undefined)(`without an operating system${noEnvelopeB}`, async () => {
    shell = new Shell(dir, { FS_MODULE_ID: 'demo' })
    const [papers] = stepsOf(page, ONE)
    await play(
      [papers as Step, ...stepsOf(page, ['Without an operating system'])],
      [['127.0.0.1:8081', `127.0.0.1:${await freePort()}`]],
    )
  })
})
