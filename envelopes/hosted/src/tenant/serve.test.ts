import { afterEach, expect, it } from 'vitest'
import { serve, type Served } from './serve.ts'

const output = { out: () => Promise.resolve(), err: () => undefined }
const mask = process.umask()

afterEach(() => {
  process.umask(mask)
  // `serve` unreferences the channel to the parent process, but a test worker needs that channel to stay alive.
  process.channel?.ref()
})

function served(failed?: Promise<never>): Served & { stops: number } {
  return {
    url: 'http://127.0.0.1:1/',
    origin: 'example.org/a',
    vkey: 'example.org/a+00000000+AQ==',
    auditVkey: 'example.org/a/audit+00000000+AQ==',
    place: { disk: '/a.img' },
    ...(failed === undefined ? {} : { failed }),
    stops: 0,
    stop() {
      this.stops += 1
      return failed === undefined ? Promise.resolve() : Promise.reject(new Error('stopped already'))
    },
  }
}

it('serve runs until SIGTERM', async () => {
  const one = served()
  const before = process.listenerCount('SIGTERM')
  const running = serve('a', () => Promise.resolve(one), true, output)
  await expect.poll(() => process.listenerCount('SIGTERM'), { interval: 1 }).toBe(before + 1)
  expect(one.stops).toBe(0)
  process.emit('SIGTERM')
  await running
  expect(one.stops).toBe(1)
})

it('serve closes the ledger after a failure, and rejects with its error', async () => {
  const one = served(Promise.reject(new Error('the engine ran away')))
  await expect(serve('a', () => Promise.resolve(one), false, output)).rejects.toThrow('the engine ran away')
  expect(one.stops).toBe(1)
  process.removeAllListeners('SIGTERM')
  process.removeAllListeners('SIGINT')
})

it.each([
  [undefined, 'see the entry of that read in the audit ledger', true],
  [true, 'Reads are public and not recorded', false],
] as const)(
  'greets with commands for public or recorded reads: public %s',
  async (publicReads, line, needsToken) => {
    let text = ''
    const one = { ...served(), guarded: true, ...(publicReads === undefined ? {} : { publicReads }) }
    const before = process.listenerCount('SIGTERM')
    const running = serve('a', () => Promise.resolve(one), false, {
      ...output,
      out: (written) => Promise.resolve(void (text += written)),
    })
    await expect.poll(() => text.includes('Ctrl-C'), { interval: 1 }).toBe(true)
    expect(process.listenerCount('SIGTERM')).toBe(before + 1)
    process.emit('SIGTERM')
    await running
    expect(text).toContain(line)
    const withToken = text.split('\n').map((command) => command.includes('$FS_TOKEN'))
    const [append, read, audit] = text
      .split('\n')
      .flatMap((command, i) => (command.startsWith('  curl') ? [withToken[i]] : []))
    expect([append, read, audit]).toEqual([true, needsToken, true])
  },
)
