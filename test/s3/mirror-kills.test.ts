// A mirror in an S3 store whose process is killed again and again, and one that follows a daemon while the store fails.
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { at, done, exported, grownTo, useDirectory } from '@service-fs/cli/testing-copies'
import { filesBelow, testSigner } from '@service-fs/client/testing'
import { Random } from '@service-fs/storage/random'
import { expect, it } from 'vitest'
import { serviceFs, startDaemon, type Daemon } from '../support/daemon.ts'
import { collect, end } from '../support/process.ts'
import { StoredCopy, isSealed } from './objects.ts'
import { Cutting } from './proxy.ts'
import { describeStore, useStore } from './store.ts'

const KILLS = 25
const SEED = 20261130
/** The last request that a round ends at, counted from 1. */
const MOST_REQUESTS = 40
const VKEY = testSigner().vkey

function startMirror(source: string, place: string, ...options: string[]): ChildProcess {
  const args = [serviceFs, 'mirror', source, place, '--retain', '2', ...options]
  return spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'pipe'] })
}

describeStore('a mirror in versitygw whose process or store ends', () => {
  useDirectory()
  const store = useStore({ locked: { lock: true } })

  it(`mirror continues a copy in a store after each of ${KILLS} kills, and ends identical to the source`, async () => {
    const random = new Random(SEED)
    const proxy = new Cutting(store().url)
    await proxy.listen()
    const copy = new StoredCopy(store(), 'locked/kills')
    const cut = new StoredCopy(store(), 'locked/kills', proxy.url)
    let size = 300
    let source = await grownTo(size)
    try {
      for (let killed = 0; killed < KILLS; killed++) {
        const reached = proxy.cutAfter(random.below(MOST_REQUESTS), killed % 2 === 1)
        const child = startMirror(source, cut.place, '--once', '--vkey', VKEY)
        const exited = once(child, 'exit')
        await Promise.race([reached, exited])
        child.kill('SIGKILL')
        await exited
        size += 1 + random.below(300)
        source = await grownTo(size)
      }
    } finally {
      proxy.close()
    }
    await done('mirror', source, copy.place, '--once', '--vkey', VKEY, '--retain', '2')
    await done('verify', copy.place, '--vkey', VKEY)
    expect(await exported(copy.place, 'copy')).toEqual(await exported(source, 'source'))
    for (const one of await copy.names())
      expect([one, (await copy.lockOf(one)) !== undefined]).toEqual([one, isSealed(one)])
    await done('mirror', source, at('directory'), '--once', '--vkey', VKEY)
    const { lock: _, ...files } = await filesBelow(at('directory'))
    expect(await copy.files()).toEqual(files)
  })

  it('the mirror follows a daemon, and continues after the store was away', async () => {
    const daemon: Daemon = await startDaemon({ moduleId: 'acme' })
    let size = 0
    const append = async (count: number): Promise<void> => {
      const lines = Array.from({ length: count }, (_, i) =>
        JSON.stringify({ payload_id: `r${size + i}`, payload: i }),
      )
      const headers = { 'content-type': 'application/x-ndjson' }
      const response = await daemon.fetch('v1/append', {
        method: 'POST',
        headers,
        body: lines.join('\n') + '\n',
      })
      expect(response.status).toBe(200)
      size += count
    }
    const copy = new StoredCopy(store(), 'locked/follows')
    const vkey = await daemon.vkey()
    await append(300)
    const options = ['--no-audit', '--json', '--interval', '1', '--vkey', vkey]
    const child = startMirror(daemon.prefix, copy.place, ...options)
    const [stdout, stderr] = [child.stdout, child.stderr].map((stream) =>
      collect(stream as NodeJS.ReadableStream),
    )
    const sizes = (): number[] =>
      (stdout?.() ?? '')
        .split('\n')
        .filter((line) => line !== '')
        .map((line) => (JSON.parse(line) as { size: number }).size)
    try {
      await expect.poll(() => sizes().at(-1), { message: stderr?.() ?? '' }).toBe(300)
      await store().kill()
      await append(300)
      await expect.poll(() => stderr?.()).toContain('trying again')
      await store().restart()
      await expect.poll(() => sizes().at(-1)).toBe(600)
      await append(1)
      await expect.poll(() => sizes().at(-1)).toBe(601)
      await done('verify', copy.place, '--vkey', vkey, '--no-audit')
    } finally {
      await end(child, 'SIGTERM')
      await daemon.dispose()
    }
  })
})
