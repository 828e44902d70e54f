import { access, mkdtemp, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { PassThrough } from 'node:stream'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { ChildChannel } from './channel.ts'
import { startChild, type Child } from './child.ts'

let dir: string
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'service-fs-'))
})
afterAll(() => rm(dir, { recursive: true }))

function started(script: string): { child: Child; messages: unknown[] } {
  const child = startChild([process.execPath, '-e', `${script}; console.log("{}")`], { openFiles: 256 })
  const messages: unknown[] = []
  child.channel.on('message', (message) => messages.push(message))
  return { child, messages }
}

it('the channel exchanges messages with Node.js in the child, and disconnects it', async () => {
  const { child, messages } = started(`
    process.on('message', (message) => process.send({ back: message }, () => undefined))
    process.on('disconnect', () => process.exit(9))`)
  await child.ready
  child.channel.send({ text: 'ä\n€', long: 'x'.repeat(100_000) })
  child.channel.send('two')
  await expect.poll(() => messages).toHaveLength(1)
  // The child's first answer exceeds the line limit.
  expect(messages).toEqual([undefined])
  expect(await child.ended).toEqual({ code: 9, signal: null })
})

it('the channel carries Unicode text in order', async () => {
  const { child, messages } = started(`process.on('message', (message) => process.send(message))`)
  const said = Array.from({ length: 500 }, (_, i) => ({ i, text: 'ä€😀"\\\n'.repeat(20) }))
  for (const message of said) child.channel.send(message)
  await expect.poll(() => messages).toEqual(said)
  await child.stop(1000)
  expect(child.channel.connected).toBe(false)
})

it.each([
  ['invalid JSON', 'garbage\\n'],
  ['truncated JSON', '{"kind":\\n'],
  ['an empty line', '\\n'],
  ['an overlong line', '"' + 'x'.repeat(5000) + '"\\n'],
  ['an unterminated line', 'x'.repeat(100_000)],
])('the channel closes on an invalid message: %s', async (_, bytes) => {
  const { child, messages } = started(`require('fs').writeSync(3, '{"n":1}\\n${bytes}\\n{"n":2}\\n')
    process.on('disconnect', () => process.exit(9)); setInterval(() => 0, 1000)`)
  expect(await child.ended).toEqual({ code: 9, signal: null })
  expect(messages).toEqual([{ n: 1 }, undefined])
})

it('the channel passes on the internal messages of Node.js like other messages', async () => {
  const own = ['NODE_HANDLE', 'NODE_HANDLE_ACK', 'NODE_HANDLE_NACK', 'NODE_SOCKET_NOTIFY_CLOSE']
  const lines = own.map((cmd) => `{"cmd":"${cmd}","type":"net.Socket"}\\n`).join('')
  const { child, messages } = started(`require('fs').writeSync(3, '${lines}'); setInterval(() => 0, 1000)`)
  await expect.poll(() => messages).toEqual(own.map((cmd) => ({ cmd, type: 'net.Socket' })))
  await child.stop(1000)
})

it('the channel stops reading from a child that does not read its replies', async () => {
  // The child notes here when it could not write, because nobody reads.
  const refusals = join(dir, 'refusals')
  const { child, messages } = started(`
    console.log('{}')
    const { appendFileSync, writeSync } = require('fs')
    const nap = new Int32Array(new SharedArrayBuffer(4))
    for (;;)
      try { writeSync(3, '{"n":1}\\n'.repeat(1000)) }
      catch { appendFileSync('${refusals}', 'x'); Atomics.wait(nap, 0, 0, 5) }`)
  child.channel.on('message', () => child.channel.send({ text: 'x'.repeat(1000) }))
  await expect.poll(() => messages.length).toBeGreaterThan(0)
  const refused = async (): Promise<number> => (await stat(refusals).catch(() => ({ size: 0 }))).size
  // If this side went on reading, the number of messages would grow forever.
  for (let before = 0; before !== messages.length;) {
    before = messages.length
    const count = await refused()
    await expect.poll(refused).toBeGreaterThan(count + 50)
  }
  await child.stop(1000)
})

it('the channel closes when the child ends, even if another process inherited the descriptor', async () => {
  const [heir, ended, done] = ['heir.cjs', 'ended', 'heir-done'].map((name) => join(dir, name)) as [
    string,
    string,
    string,
  ]
  // The grandchild writes once the test knows that its parent, the child, has ended.
  await writeFile(
    heir,
    `const { existsSync, writeSync, writeFileSync } = require('fs')
    setInterval(() => {
      if (!existsSync('${ended}')) return
      try { writeSync(3, '{}\\n') } catch {}
      writeFileSync('${done}', '')
      process.exit()
    }, 5)`,
  )
  const { child, messages } = started(`
    const { spawn } = require('child_process')
    const options = { stdio: ['ignore', 'ignore', 'ignore', 3], detached: true }
    spawn(process.execPath, ['${heir}'], options).once('spawn', () => process.exit(0))`)
  await child.ended
  await writeFile(ended, '')
  expect(child.channel.connected).toBe(false)
  await expect.poll(() => access(done)).toBeUndefined()
  await sleep(100)
  expect(messages).toEqual([])
})

it('the channel sends nothing on a closed stream', () => {
  const channel = new ChildChannel(new PassThrough().destroy())
  channel.send({})
  expect(channel.connected).toBe(false)
})
