// Tests the storage capability against the C store in a child process.
import { execFileSync, spawnSync } from 'node:child_process'
import { readFileSync, statSync, truncateSync, writeFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import type { StorageCapability } from '@service-fs/storage/capability'
import { storageConformance } from '@service-fs/storage/conformance'
import { MAX_BUNDLE_BYTES } from '@service-fs/storage/object-name'
import { OPCODE, STATUS } from '@service-fs/storage-psdb/message'
import { openPsdbStorage } from '@service-fs/storage-psdb/storage'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { openPsdbProcess } from './process.ts'
import { missing, TestDisk } from './testing.ts'

const mount = (...args: string[]): boolean => spawnSync('mount', args).status === 0

if (missing === '') {
  for (const ledger of ['main', 'audit'] as const) {
    for (const region of [32 * 1024 * 1024, 1024 * 1024 + 64]) {
      storageConformance({
        name: `PSDB, ${ledger}, a data region of ${region} bytes`,
        tailMode: 'each',
        test: { describe, it, expect },
        async open() {
          const disk = new TestDisk()
          const open = async (): Promise<StorageCapability> =>
            openPsdbStorage((await disk.open({ region })).client('acme'), ledger)
          return { storage: await open(), reopen: open, dispose: () => disk.remove() }
        },
      })
    }
  }

  storageConformance({
    name: 'PSDB, killed when it is reopened',
    tailMode: 'each',
    test: { describe, it, expect },
    async open() {
      const disk = new TestDisk()
      const open = async (): Promise<StorageCapability> => {
        await disk.kill()
        return openPsdbStorage((await disk.open()).client('acme'), 'main')
      }
      return { storage: await open(), reopen: open, dispose: () => disk.remove() }
    },
  })
}

const x = new Uint8Array([120])

function bytesOf(length: number, seed = 1): Uint8Array {
  return Uint8Array.from({ length }, (_, i) => (i * 31 + seed) % 251)
}

async function tailOf(storage: StorageCapability): Promise<[number, number][]> {
  const files: [number, number][] = []
  for await (const { start, bytes } of storage.tail()) files.push([start, bytes.length])
  return files
}

describe.skipIf(missing !== '')(`psdb-host${missing}`, () => {
  let disk: TestDisk
  beforeEach(() => {
    disk = new TestDisk()
  })
  afterEach(() => disk.remove())

  it('separates tenants, and a ledger from its audit sub-ledger', async () => {
    const tenants = ['acme', 'other']
    const names = tenants.flatMap((tenant) => [`${tenant} main`, `${tenant} audit`] as const)
    const all = async (): Promise<StorageCapability[]> => {
      const host = await disk.open({ tenants })
      return tenants.flatMap((tenant) =>
        (['main', 'audit'] as const).map((ledger) => openPsdbStorage(host.client(tenant), ledger)),
      )
    }
    const storages = await all()
    await Promise.all(
      storages.flatMap((storage, i) => [
        storage.seal({ kind: 'origin' }, Buffer.from(names[i] ?? '')),
        storage.publish(Buffer.from(`checkpoint of ${names[i]}`)),
        storage.beginTail(0, i + 10, bytesOf(i + 1)),
      ]),
    )
    for (const [i, storage] of (await all()).entries()) {
      expect(Buffer.from((await storage.read({ kind: 'origin' })) ?? []).toString()).toBe(names[i])
      expect(Buffer.from((await storage.read({ kind: 'checkpoint' })) ?? []).toString()).toBe(
        `checkpoint of ${names[i]}`,
      )
      await expect(storage.beginTail(0, i + 10, bytesOf(3))).rejects.toMatchObject({ code: 'conflict' })
    }
    await disk.process?.close()
    const listed = execFileSync('tar', ['-tf', disk.path], { encoding: 'utf8' })
    expect(listed).toContain('acme/audit/origin\n')
    expect(listed).toContain('other/tail/000000000000\n')
  })

  it('accepts the largest bundle, and a tail file larger than one request can read', async () => {
    const storage = openPsdbStorage((await disk.open({ size: 128 * 1024 * 1024 })).client('acme'), 'main')
    const bundle = bytesOf(MAX_BUNDLE_BYTES)
    const tail = bytesOf(20_000_001, 7)
    await Promise.all([storage.seal({ kind: 'bundle', index: 0 }, bundle), storage.beginTail(0, 1, tail)])
    const again = openPsdbStorage((await disk.open()).client('acme'), 'main')
    expect(Buffer.compare((await again.read({ kind: 'bundle', index: 0 })) ?? x, bundle)).toBe(0)
    for await (const { bytes } of again.tail()) expect(Buffer.compare(bytes, tail)).toBe(0)
    const error = { code: 'full', message: expect.stringContaining('data region: expected at most') }
    await expect(again.beginTail(1, 2, bytesOf(33 * 1024 * 1024))).rejects.toMatchObject(error)
    await again.beginTail(1, 2, bytesOf(10))
  })

  it('answers more concurrent requests than its queue and its region hold', async () => {
    const storage = openPsdbStorage((await disk.open({ region: 256 * 1024 })).client('acme'), 'main')
    const names = Array.from({ length: 300 }, (_, index) => ({ kind: 'bundle', index }) as const)
    await Promise.all(names.map((name, i) => storage.seal(name, bytesOf(1 + ((i * 997) % 100_000), i))))
    const read = await Promise.all(names.map((name) => storage.read(name)))
    for (const [i, bytes] of read.entries())
      expect(Buffer.compare(bytes ?? x, bytesOf(1 + ((i * 997) % 100_000), i))).toBe(0)
    expect(await storage.stat()).toMatchObject({ sectors: 131_072, bundles: 300 })
  })

  it('locks its disk until it ends', async () => {
    await disk.open()
    const second = { disk: disk.path, tenants: ['acme'] }
    const error = { code: 'locked', message: expect.stringContaining('in use by another process') }
    await expect(openPsdbProcess(second)).rejects.toMatchObject(error)
    const waiting = openPsdbProcess(second)
    await sleep(100)
    await disk.kill()
    await (await waiting).close()
  })

  const noMount = process.getuid?.() === 0 ? '' : ' (skipped: not root)'
  it.skipIf(noMount !== '')(
    `reports the error of the file system for a full or read-only image${noMount}`,
    async () => {
      const at = disk.dir.path
      expect(mount('-t', 'tmpfs', '-o', 'size=2m', 'tmpfs', at)).toBe(true)
      try {
        const lines: string[] = []
        const report = (line: string): void => void lines.push(line)
        const storage = openPsdbStorage((await disk.open({ report })).client('acme'), 'main')
        await storage.beginTail(0, 1, bytesOf(10))
        await expect(storage.beginTail(1, 2, bytesOf(3_000_000))).rejects.toMatchObject({ code: 'io' })
        expect(lines.join('\n')).toContain('the disk: write: No space left on device')
        await disk.kill()
        expect(mount('-o', 'remount,ro', at)).toBe(true)
        await expect(disk.open()).rejects.toThrow(/disk\.img: Read-only file system/)
      } finally {
        await disk.kill()
        spawnSync('umount', [at])
      }
    },
  )

  it('ignores the signals that stop a service', async () => {
    const host = await disk.open()
    const storage = openPsdbStorage(host.client('acme'), 'main')
    for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) process.kill(host.pid ?? 0, signal)
    await storage.publish(x)
    await host.close()
    expect(await host.exited).toEqual({ code: 0, signal: null })
  })

  it('keeps acknowledged data when it is killed', async () => {
    let acknowledged = 0
    for (let life = 0; life < 6; life++) {
      const host = await disk.open()
      const storage = openPsdbStorage(host.client('acme'), 'main')
      const found = await tailOf(storage)
      expect(found.length).toBeGreaterThanOrEqual(acknowledged)
      expect(found.map(([start]) => start)).toEqual(found.map((_, i) => i))
      acknowledged = found.length
      let timer: NodeJS.Timeout | undefined
      try {
        for (let start = acknowledged; ; start++) {
          await storage.beginTail(start, start + 1, bytesOf(5000 + start))
          acknowledged = start + 1
          // Some commits are acknowledged before each kill, however slow the disk is.
          if (start === found.length + life) timer = setTimeout(() => host.kill(), life * 13)
        }
      } catch (error) {
        expect(error).toMatchObject({ code: 'io', message: expect.stringContaining('ended with SIGKILL') })
      }
      clearTimeout(timer)
      await host.exited
      disk.process = undefined
    }
    expect(acknowledged).toBeGreaterThan(5)
  })

  it('reports a full disk, accepts data that still fits, and opens again', async () => {
    const size = 1024 * 1024
    const storage = openPsdbStorage((await disk.open({ size })).client('acme'), 'main')
    let start = 0
    const fill = async (): Promise<void> => {
      for (; ; start++) await storage.beginTail(start, start + 1, bytesOf(50_000))
    }
    await expect(fill()).rejects.toMatchObject({ code: 'full' })
    expect(start).toBeGreaterThan(10)
    await storage.publish(bytesOf(100))
    await storage.beginTail(start, start + 1, bytesOf(100))
    const host = await disk.open({ size })
    const again = openPsdbStorage(host.client('acme'), 'main')
    expect(await again.read({ kind: 'checkpoint' })).toEqual(bytesOf(100))
    expect((await tailOf(again)).at(-1)).toEqual([start, 100])
    const { free } = await again.stat()
    const larger = openPsdbStorage((await disk.open({ size: 2 * size })).client('acme'), 'main')
    expect((await larger.stat()).free).toBeGreaterThan(free + 2000)
    await larger.beginTail(start + 1, start + 2, bytesOf(50_000))
  })

  it('refuses a corrupt disk, reports the sector, and changes nothing', async () => {
    const storage = openPsdbStorage((await disk.open({ size: 1024 * 1024 })).client('acme'), 'main')
    await storage.seal({ kind: 'origin' }, bytesOf(600))
    await storage.beginTail(0, 1, bytesOf(600))
    await disk.process?.close()
    disk.process = undefined
    const honest = readFileSync(disk.path)
    const damaged = Buffer.from(honest)
    const at = honest.indexOf('acme/origin') + 512 + 17
    damaged[at] = (damaged[at] ?? 0) ^ 1
    writeFileSync(disk.path, damaged)
    const lines: string[] = []
    const opening = openPsdbProcess({
      disk: disk.path,
      tenants: ['acme'],
      report: (line) => lines.push(line),
    })
    await expect(opening).rejects.toMatchObject({
      code: 'corrupt',
      message: expect.stringMatching(/^disk: .*sector \d+/),
    })
    expect(readFileSync(disk.path).equals(damaged)).toBe(true)
    writeFileSync(disk.path, honest)
    const again = openPsdbStorage((await disk.open()).client('acme'), 'main')
    expect(await again.read({ kind: 'origin' })).toEqual(bytesOf(600))
  })

  it('does not return data that another program changed while it runs', async () => {
    const storage = openPsdbStorage((await disk.open()).client('acme'), 'main')
    await storage.seal({ kind: 'origin' }, bytesOf(600))
    const bytes = readFileSync(disk.path)
    bytes.fill(0, bytes.indexOf('acme/origin'), bytes.indexOf('acme/origin') + 11)
    writeFileSync(disk.path, bytes)
    await expect(storage.read({ kind: 'origin' })).rejects.toMatchObject({ code: 'corrupt' })
  })

  it('refuses an invalid disk, size or tenant', async () => {
    const tenants = ['acme']
    const refused = (options: object, message: string): Promise<void> =>
      expect(openPsdbProcess({ disk: disk.path, tenants, ...options })).rejects.toMatchObject({
        code: 'io',
        message: expect.stringContaining(message),
      })
    await refused({}, 'No such file')
    await refused({ size: 1000 }, 'expected a multiple of 512')
    await refused({ size: 1024 * 1024, tenants: ['../acme'] }, 'tenant')
    await refused({ size: 1024 * 1024, tenants: [] }, 'usage')
    await refused({ disk: disk.dir.path }, '')
  })

  it('accepts a disk with an incomplete last sector', async () => {
    await disk.open({ size: 1024 * 1024 })
    await disk.process?.close()
    truncateSync(disk.path, 1024 * 1024 - 100)
    const host = await disk.open({ size: 65_536 })
    const stat = { opcode: OPCODE.STAT, ledger: 0 } as const
    expect(await host.client('acme').request(stat)).toMatchObject({ status: STATUS.OK, value: 2047 })
    expect(statSync(disk.path).size).toBe(1024 * 1024 - 100)
  })

  it('answers a malformed request with the invalid field', async () => {
    const client = (await disk.open()).client('acme')
    const { READ, SEAL, COMMIT, TAIL, PUBLISH, STAT } = OPCODE
    for (const [field, call] of [
      [4, { opcode: 7 as never, ledger: 0 }],
      [5, { opcode: STAT, ledger: 2 as never }],
      [6, { opcode: READ, ledger: 0, kind: 8 as never, room: 1 }],
      [6, { opcode: SEAL, ledger: 0, kind: 7, bytes: x }],
      [7, { opcode: READ, ledger: 0, kind: 4, level: 7, room: 1 }],
      [
        8,
        {
          opcode: COMMIT,
          ledger: 0,
          index: Number.MAX_SAFE_INTEGER,
          size: Number.MAX_SAFE_INTEGER,
          bytes: x,
        },
      ],
      [16, { opcode: COMMIT, ledger: 0, index: 5, size: 5, bytes: x }],
      [44, { opcode: COMMIT, ledger: 0, index: 5, size: 6 }],
      [44, { opcode: PUBLISH, ledger: 0 }],
      [48, { opcode: SEAL, ledger: 0, kind: 3, name: 'A', bytes: x }],
      [16, { opcode: TAIL, ledger: 0, size: 1, room: 8 }],
    ] as const) {
      const answer = await client.request(call)
      expect(answer.status, JSON.stringify(call)).toBe(STATUS.INVALID)
      expect([answer.field, 16], JSON.stringify(call)).toContain(field)
    }
  })
})
