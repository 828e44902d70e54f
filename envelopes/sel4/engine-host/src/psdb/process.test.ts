import { OPCODE, STATUS } from '@service-fs/storage-psdb/message'
import { openPsdbStorage } from '@service-fs/storage-psdb/storage'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { STATE } from './process.ts'
import { openFake, temporaryDirectory } from './testing.ts'

let dir: ReturnType<typeof temporaryDirectory>
beforeEach(() => {
  dir = temporaryDirectory()
})
afterEach(() => dir.remove())

const stat = { opcode: OPCODE.STAT, ledger: 0 } as const

function failure(code: string, message: string): object {
  return { name: 'StorageError', code, message: expect.stringContaining(message) }
}

/** Returns a script that sends the first frame, and then runs `rest`. */
function serverScript(rest: string): string {
  return `hello(1, 1, 'ready');${rest}`
}

describe('a process that does not open the disk', () => {
  it.each([
    [
      'is locked out',
      `console.error('d.img: in use by another process'); process.exit(3)`,
      'locked',
      'in use',
    ],
    ['ends at once', `process.exit(0)`, 'io', 'psdb-host: ended with 0'],
    [
      'reports why it ends',
      `console.error('d.img: not there'); process.exit(2)`,
      'io',
      '2: d.img: not there',
    ],
    ['is killed', `process.kill(process.pid, 'SIGKILL')`, 'io', 'ended with SIGKILL'],
    ['speaks another protocol', `hello(2)`, 'io', 'protocol 2, expected 1'],
    ['finds the disk corrupt', `hello(1, 3, 'sector 7: bad')`, 'corrupt', 'disk: sector 7: bad'],
    ['writes garbage', `out('Segmentation fault'.repeat(100))`, 'io', 'unknown channel 1835492691'],
    ['begins with an answer', `out(frame(0, message()))`, 'io', 'unknown channel 0'],
    [
      'begins with a frame that is too large',
      `out(frame(0xffffffff, message(1, 1), Buffer.alloc(0), 1 << 30))`,
      'io',
      '1073741824',
    ],
    ['ends within its first frame', `out(Buffer.alloc(40)); process.exit(0)`, 'io', 'ended with 0'],
  ])('%s', async (_, script, code, message) => {
    await expect(openFake(dir.path, script)).rejects.toMatchObject(failure(code, message))
  })

  it('is missing', async () => {
    const opening = openFake(dir.path, '', { binary: `${dir.path}/none` })
    await expect(opening).rejects.toMatchObject(failure('io', 'psdb-host: cannot be started'))
  })
})

describe('a process that has opened the disk', () => {
  it('reports its state, and ends with its standard input', async () => {
    const lines: string[] = []
    const script = serverScript(`console.error('one'); console.error('two'); process.stderr.write('three')`)
    const host = await openFake(dir.path, script, { report: (line) => lines.push(line) })
    expect([host.state, host.report]).toEqual([STATE.READY, 'ready'])
    expect(() => host.channel('acme ')).toThrow('tenant acme : the process has acme,other')
    const client = host.client('acme')
    expect(host.client('acme')).toBe(client)
    await host.close()
    await host.close()
    expect(await host.exited).toEqual({ code: 0, signal: null })
    expect(lines).toEqual(['one', 'two', 'three'])
    await expect(client.request(stat)).rejects.toMatchObject(failure('io', 'ended with 0'))
    await expect(host.client('other').request(stat)).rejects.toMatchObject(failure('io', 'ended with 0'))
  })

  it('receives the bytes of writes, each on the channel of its tenant', async () => {
    const echo = `onRequest((request, channel, data) => {
      const reply = answer(request)
      reply.writeBigUInt64LE(BigInt(channel), 8)
      reply.writeBigUInt64LE(BigInt(data.reduce((sum, byte) => sum + byte, 0)), 16)
      out(frame(channel, reply))
    })`
    const host = await openFake(dir.path, serverScript(echo))
    const bytes = new Uint8Array(100_000).fill(3)
    const asked = ['acme', 'other', 'acme'].map((tenant, i) =>
      host.client(tenant).request({ opcode: OPCODE.SEAL, ledger: 0, bytes: bytes.subarray(i) }),
    )
    const found = (await Promise.all(asked)).map(({ value, extra }) => [value, extra])
    expect(found).toEqual([
      [0, 300_000],
      [1, 299_997],
      [0, 299_994],
    ])
    await host.close()
  })

  it.each([
    ['ends', `process.exit(7)`, 'ended with 7'],
    ['is killed', `process.kill(process.pid, 'SIGKILL')`, 'ended with SIGKILL'],
    ['names an unknown tenant', `out(frame(2, answer(request)))`, 'unknown channel 2'],
    ['sends its first frame again', `hello()`, 'unknown channel 4294967295'],
    [
      'sends more than the region',
      `out(frame(0, answer(request), Buffer.alloc(0), 33554433))`,
      'bytes of data, found 33554433',
    ],
    [
      'claims bytes that it did not send',
      `const reply = answer(request); reply.writeUInt32LE(8, 36); out(frame(0, reply, Buffer.alloc(7)))`,
      'no answer put 8 bytes',
    ],
    [
      'claims more bytes than there is room for',
      `const reply = answer(request); reply.writeUInt32LE(65, 36); out(frame(0, reply, Buffer.alloc(65)))`,
      'length 65, there was room for 64',
    ],
    ['sends an unknown status', `out(frame(0, answer(request, 9)))`, 'status 9'],
  ])('fails all requests, under way and later, when it %s', async (_, script, message) => {
    const host = await openFake(dir.path, serverScript(`onRequest((request) => { ${script} })`))
    const client = host.client('acme')
    const error = failure('io', message)
    const asked = [1, 2, 3].map(() => client.request({ opcode: OPCODE.READ, ledger: 0, room: 64 }))
    for (const promise of asked) await expect(promise).rejects.toMatchObject(error)
    await expect(client.request(stat)).rejects.toMatchObject(error)
    const storage = openPsdbStorage(client, 'main')
    await expect(storage.seal({ kind: 'origin' }, new Uint8Array(1))).rejects.toMatchObject(error)
    await storage.close()
    host.kill()
    await host.exited
    await expect(host.close()).rejects.toMatchObject({ code: 'io' })
  })

  it('sends answers that match no request, which the client ignores', async () => {
    const script = `onRequest((request) => {
      const other = answer(request)
      other.writeUInt32LE(request.readUInt32LE(0) + 1, 0)
      const wrong = answer(request)
      wrong[4] ^= 1
      const whole = Buffer.concat([other, wrong, answer(request, 4)].map((reply) => frame(0, reply)))
      out(whole.subarray(0, 100))
      setTimeout(() => out(whole.subarray(100)), 20)
    })`
    const host = await openFake(dir.path, serverScript(script))
    const client = host.client('acme')
    expect(await client.request(stat)).toMatchObject({ status: STATUS.IO })
    expect(client.ignored).toBe(2)
    await host.close()
  })

  it('receives simultaneous requests in one chunk', async () => {
    const count = `let chunks = 0
      process.stdin.on('data', () => (chunks += 1))
      onRequest((request, channel) => {
        const reply = answer(request)
        reply.writeBigUInt64LE(BigInt(chunks), 8)
        out(frame(channel, reply))
      })`
    const host = await openFake(dir.path, serverScript(count))
    const client = host.client('acme')
    const answers = await Promise.all(Array.from({ length: 40 }, () => client.request(stat)))
    expect(answers.at(-1)?.value).toBe(1)
    await host.close()
  })
})
