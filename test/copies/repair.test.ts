// Repairs of a daemon's ledger from its mirror: killed at any point, checked by every verifier, and noticed by the daemon.
import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { chmod, cp, mkdtemp, readFile, rm, unlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { filesBelow, serveDirectory, startServer, type TestServer } from '@service-fs/client/testing'
import { Random } from '@service-fs/storage/random'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { runVerifier } from '../outsiders/verifier.ts'
import { serviceFs, startDaemon, type Daemon } from '../support/daemon.ts'
import { run } from '../support/process.ts'
import { QUICK } from '../support/quick.ts'

const KILLS = QUICK ? 3 : 12
const SEED = Number(process.env['SEED'] ?? 20_261_130)
const RECORDS = 2000
/** Full bundles of the records. */
const BUNDLES = Math.floor(RECORDS / 256)

let work = ''
let daemon: Daemon
let vkey = ''
beforeAll(async () => {
  work = await mkdtemp(join(tmpdir(), 'service-fs-repair-'))
  daemon = await startDaemon()
  vkey = await daemon.vkey()
  const lines = Array.from({ length: RECORDS }, (_, i) =>
    JSON.stringify({ payload_id: `r${i}`, payload: `content of ${i} `.repeat(5) }),
  )
  const response = await daemon.fetch('v1/append', {
    method: 'POST',
    headers: { 'content-type': 'application/x-ndjson' },
    body: `${lines.join('\n')}\n`,
  })
  expect(response.status).toBe(200)
  await daemon.kill()
  await cp(daemon.dir, at('mirror'), { recursive: true })
})
afterAll(async () => {
  await daemon.dispose()
  await rm(work, { recursive: true, force: true })
})

const at = (name: string): string => join(work, name)

/** Changes a byte of a line, or removes the file. */
async function damage(dir: string, path: string, random: Random): Promise<void> {
  const file = join(dir, path)
  if (random.below(4) === 0) return unlink(file)
  const bytes = await readFile(file)
  const place = random.below(40)
  bytes[place] = bytes[place] === 0x41 ? 0x42 : 0x41
  await chmod(file, 0o600)
  await writeFile(file, bytes)
}

/** Serves the mirror, but kills the client after some answers: it may be writing a file by then. The next request gets no answer. */
async function killingServer(
  inner: TestServer,
  answers: number,
  client: () => ChildProcess,
): Promise<TestServer> {
  let left = answers
  return startServer(async (request, response) => {
    left -= 1
    if (left < 0) {
      client().kill('SIGKILL')
      return
    }
    const answer = await fetch(new URL(request.url ?? '', inner.url))
    response.writeHead(answer.status).end(Buffer.from(await answer.arrayBuffer()))
    if (left === 0) response.once('finish', () => client().kill('SIGKILL'))
  })
}

/** Starts a repair, and waits until it has been killed. */
async function repairKilled(dir: string, inner: TestServer, answers: number): Promise<void> {
  let child: ChildProcess | undefined
  const server = await killingServer(inner, answers, () => child as ChildProcess)
  try {
    const args = [serviceFs, 'repair', dir, '--from', server.url, '--vkey', vkey]
    child = spawn(process.execPath, args, { stdio: 'ignore' })
    await once(child, 'exit')
    expect(child.signalCode).toBe('SIGKILL')
  } finally {
    await server.close()
  }
}

const serviceFsRun = (...args: string[]): ReturnType<typeof run> =>
  run(process.execPath, [serviceFs, ...args])

describe('a damaged ledger of a daemon', { timeout: 900_000 }, () => {
  it(`repairs a ledger by a command that is killed ${KILLS} times, and every verifier accepts the result`, async () => {
    const random = new Random(SEED)
    const right = await filesBelow(daemon.dir)
    const bundles = Array.from({ length: BUNDLES - 1 }, (_, i) => `tile/entries/00${i}.b64`)
    // The tile of the one intact bundle needs no request.
    await unlink(join(daemon.dir, `tile/0/00${BUNDLES - 1}.b64`))
    const inner = await serveDirectory(at('mirror'))
    let repaired = 0
    try {
      for (let kill = 0; kill < KILLS; kill++) {
        const before = await filesBelow(daemon.dir)
        for (const path of bundles) if (before[path] === right[path]) await damage(daemon.dir, path, random)
        // Each bundle takes one request, so the command cannot end before it is killed.
        const answers = kill === 0 ? bundles.length - 1 : random.below(bundles.length)
        await repairKilled(daemon.dir, inner, answers)
        const after = await filesBelow(daemon.dir)
        repaired += bundles.filter((path) => after[path] === right[path]).length
      }
      expect(repaired).toBeGreaterThan(0)
      expect((await serviceFsRun('verify', daemon.dir)).code).toBe(1)
      const args = ['repair', daemon.dir, '--from', inner.url, '--vkey', vkey]
      const { code, stdout, stderr } = await serviceFsRun(...args)
      expect([code, stderr]).toEqual([0, ''])
      expect(stdout).toContain('repaired from the source')
    } finally {
      await inner.close()
    }
    expect(await filesBelow(daemon.dir)).toEqual(right)
    expect((await serviceFsRun('verify', daemon.dir, '--vkey', vkey)).code).toBe(0)
    const script = spawnSync('sh', [join(daemon.dir, 'verify.sh')], { encoding: 'utf8' })
    expect([script.status, script.stderr]).toEqual([0, expect.stringContaining(`has ${RECORDS} entries,`)])
    const python = runVerifier(daemon.dir)
    if (python.error === undefined) expect([python.status, python.stderr]).toEqual([0, ''])
  })

  it('refuses to repair while the daemon runs, and the background check notices a later repair', async () => {
    const path = 'tile/entries/001.b64'
    await damage(daemon.dir, path, new Random(1))
    // As if a whole pass were late, so that the daemon checks everything at once.
    await writeFile(join(daemon.dir, 'cache/scrub'), '{"version":1,"started":0,"next":0,"findings":[]}\n')
    const isDamaged = async (): Promise<unknown> =>
      ((await (await daemon.fetch('readyz')).json()) as { scrub?: { damaged: boolean } }).scrub?.damaged
    daemon = await daemon.restart()
    await expect.poll(isDamaged).toBe(true)
    const refused = await serviceFsRun('repair', daemon.dir, '--from', at('mirror'))
    expect([refused.code, refused.stderr]).toEqual([
      3,
      `service-fs: ${daemon.dir}: lock: process ${daemon.pid} writes to this ledger: stop the daemon first\n`,
    ])
    await daemon.kill()
    const repaired = await serviceFsRun('repair', daemon.dir, '--from', at('mirror'))
    expect([repaired.code, repaired.stderr]).toEqual([0, ''])
    daemon = await daemon.restart()
    await expect.poll(isDamaged).toBe(false)
    await daemon.kill()
  })

  it(`repairs a second tree and the bundles below it by a command that is killed ${KILLS} times, and the daemon continues the tree`, async () => {
    daemon = await daemon.restart()
    await keepTree()
    await daemon.kill()
    const right = await filesBelow(daemon.dir)
    const tiles = Object.keys(right).filter((path) => path.startsWith('sha3-256/tile/'))
    expect(tiles.length).toBe(BUNDLES)
    const bundle = 'tile/entries/002.b64'
    const random = new Random(SEED)
    const damageAll = async (): Promise<void> => {
      const before = await filesBelow(daemon.dir)
      for (const path of [...tiles, bundle])
        if (before[path] === right[path]) await damage(daemon.dir, path, random)
    }
    for (let kill = 0; kill < KILLS; kill++) {
      await damageAll()
      // The command renames the right file into place, and before that the damaged one away, for each of these files.
      await killedAfter(1 + random.below(tiles.length + 1))
    }
    await damageAll()
    expect((await serviceFsRun('verify', daemon.dir)).code).toBe(1)
    const { code, stdout, stderr } = await serviceFsRun('repair', daemon.dir, '--from', at('mirror'))
    expect([code, stderr]).toEqual([0, ''])
    expect(stdout).toContain('repaired from other files of the ledger')
    expect(await filesBelow(daemon.dir)).toMatchObject(onlySealed(right))
    expect((await serviceFsRun('verify', daemon.dir, '--vkey', vkey)).code).toBe(0)
    daemon = await daemon.restart()
    await keepTree()
  })
})

/** Returns the files that are written once. */
function onlySealed(files: Record<string, string>): Record<string, string> {
  return Object.fromEntries(
    Object.entries(files).filter(([path]) => /^(?:audit\/|sha3-256\/)?(?:tile|keys|origin)/.test(path)),
  )
}

/** Gives the ledger a second tree, or continues the one that it has; resolves when the tree's checkpoint covers the log. */
async function keepTree(): Promise<void> {
  const headers = { 'content-type': 'application/json' }
  const begun = await daemon.fetch('v1/rehash', { method: 'POST', headers, body: '{"hash":"sha3-256"}' })
  expect(begun.status, await begun.text()).toBe(200)
  await expect
    .poll(async () => {
      const { trees } = (await (await daemon.fetch('v1/trees')).json()) as {
        trees: { state: string; signed_size: number; log_size: number }[]
      }
      return trees.map((tree) => [tree.state, tree.signed_size === tree.log_size])
    })
    .toEqual([['kept', true]])
}

/** Starts a repair, which kills itself once it has renamed this many files. */
async function killedAfter(renames: number): Promise<void> {
  const kill = `
    import fs from 'node:fs/promises'
    import { syncBuiltinESMExports } from 'node:module'
    const { rename } = fs
    let left = ${renames}
    fs.rename = async (...paths) => {
      await rename(...paths)
      left -= 1
      if (left === 0) process.kill(process.pid, 'SIGKILL')
    }
    syncBuiltinESMExports()`
  const preload = `data:text/javascript,${encodeURIComponent(kill)}`
  const args = ['--import', preload, serviceFs, 'repair', daemon.dir, '--from', at('mirror')]
  const child = spawn(process.execPath, args, { stdio: 'ignore' })
  await once(child, 'exit')
  expect(child.signalCode).toBe('SIGKILL')
}
