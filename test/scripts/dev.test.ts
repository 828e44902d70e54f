// `npm run dev` in a copy of this checkout.

import { type ChildProcess, spawn } from 'node:child_process'
import { readFileSync, renameSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, expect, it } from 'vitest'
import { collect, end, freePort, sleep } from '../support/process.ts'
import { copyCheckout, type Copy } from './copy.ts'

let copy: Copy
let dev: ChildProcess | undefined
afterAll(async () => {
  if (dev !== undefined) await end(dev, 'SIGTERM')
  copy.dispose()
})

/** Waits for a condition, at most 10 minutes: the first start installs and builds. */
async function until(what: string, holds: () => boolean | Promise<boolean>): Promise<void> {
  for (let i = 0; i < 6000; i++) {
    if (await holds()) return
    await sleep(100)
  }
  throw new Error(`${what}: not within 10 minutes`)
}

/** Replaces a file in one step: a write in place has a moment at which the bundler may read an empty file. */
function replace(path: string, text: string): void {
  writeFileSync(`${path}.new`, text)
  renameSync(`${path}.new`, path)
}

it('npm run dev serves a ledger, and restarts the daemon when a source changes', async () => {
  copy = copyCheckout()
  const listen = `127.0.0.1:${await freePort()}`
  const ledger = `http://${listen}/t/demo/v1`
  dev = spawn(process.execPath, ['scripts/dev.mjs', '--listen', listen], {
    cwd: copy.directory,
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const output = collect(dev.stderr!)
  dev.stdout!.resume()
  const count = (line: string): number => output().split(line).length - 1
  const answers = (): Promise<boolean> =>
    fetch(`http://${listen}/healthz`).then(
      ({ status }) => status === 200,
      () => false,
    )

  await until('the first start', answers)
  const record = { method: 'POST', body: '{"payload_id":"kept","payload":1}' }
  const appended = await fetch(`${ledger}/append`, {
    ...record,
    headers: { 'content-type': 'application/json' },
  })
  expect(appended.ok).toBe(true)

  const source = join(copy.directory, 'app/src/main.ts')
  const changed = `process.stderr.write('the changed source\\n')\n${readFileSync(source, 'utf8')}`
  replace(source, changed)
  await until('the second start', () => output().includes('the changed source'))
  await until('its answers', answers)
  expect((await fetch(`${ledger}/records/kept`)).status).toBe(200)

  // A source that does not compile leaves the daemon as it is.
  replace(source, `${changed}(`)
  await until('the error', () => output().includes('main.ts'))
  expect(await answers()).toBe(true)
  expect(count('bundled\n')).toBe(2)

  replace(source, "process.stderr.write('the repaired source\\n')\n")
  await until('the third start', () => output().includes('the repaired source'))
  await until('its end', () => output().includes('the daemon ended'))
}, 900_000)
