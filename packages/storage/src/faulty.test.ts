import { describe, expect, it } from 'vitest'
import type { StorageCapability, TailFile } from './capability.ts'
import { FaultyDisk } from './faulty.ts'
import { sameBytes } from './memory.ts'
import { bundlePath, formatObjectName, parseSealedName, type ReadableName } from './object-name.ts'

/** `npm test` tries some of the seeds; see test/sets.mjs. */
const QUICK = process.env['QUICK'] === '1'

/** The writes that a test requested of a storage. Marks each write that the storage acknowledged. */
class Journal {
  readonly sealed = new Map<string, { bytes: Uint8Array; promised: boolean }>()
  /** Every content that the tail may have. After a successful write there is only one; the end of the newest content may be torn. */
  tails: TailFile[] = []
  torn = new Uint8Array()
  checkpoints: Uint8Array[] = []

  async seal(storage: StorageCapability, path: string): Promise<void> {
    const entry = { bytes: pattern(path, 1700), promised: false }
    this.sealed.set(path, entry)
    entry.promised = await succeeds(storage.seal(parseSealedName(path), entry.bytes))
  }

  async commit(storage: StorageCapability, size: number, bytes: number): Promise<void> {
    const commit = pattern(`commit ${size}`, bytes)
    const [old] = this.tails
    if (await succeeds(storage.commit(size, commit))) {
      if (old === undefined) throw new Error('a commit without a tail')
      this.tails = [{ start: old.start, bytes: concat(old.bytes, commit) }]
    } else if (this.torn.length === 0) this.torn = commit
  }

  async begin(storage: StorageCapability, start: number, size: number): Promise<void> {
    const begun = { start, bytes: pattern(`begin ${start} ${size}`, 900) }
    if (await succeeds(storage.beginTail(start, size, begun.bytes))) {
      this.tails = [begun]
      this.torn = new Uint8Array()
    } else this.tails.push(begun)
  }

  async publish(storage: StorageCapability, name: string): Promise<void> {
    const checkpoint = pattern(name, 700)
    if (await succeeds(storage.publish(checkpoint))) this.checkpoints = [checkpoint]
    else this.checkpoints.push(checkpoint)
  }

  /** Describes an acknowledged write that the storage lacks; undefined when the storage has all. */
  async broken(storage: StorageCapability): Promise<string | undefined> {
    for (const [path, { bytes, promised }] of this.sealed) {
      const found = await storage.read(parseSealedName(path))
      if (found === undefined ? promised : !sameBytes(found, bytes)) return `${path} is lost or torn`
    }
    const found = await storage.read({ kind: 'checkpoint' })
    if (
      found === undefined ? this.checkpoints.length === 1 : !this.checkpoints.some((c) => sameBytes(c, found))
    ) {
      return 'checkpoint is lost, torn or old'
    }
    const last = (await tailOf(storage)).at(-1)
    if (this.tails.length !== 1 && last === undefined) return undefined
    if (this.tails.some((tail) => last !== undefined && continues(last, tail, this.torn))) return undefined
    return `the tail is ${last?.start} with ${last?.bytes.length} bytes`
  }
}

/** Reports whether `found` is the tail `kept`, followed by any part of the commit `torn`, with gaps. */
function continues(found: TailFile, kept: TailFile, torn: Uint8Array): boolean {
  if (found.start !== kept.start || found.bytes.length < kept.bytes.length) return false
  if (!sameBytes(found.bytes.subarray(0, kept.bytes.length), kept.bytes)) return false
  const rest = found.bytes.subarray(kept.bytes.length)
  return rest.length <= torn.length && rest.every((byte, i) => byte === torn[i] || byte === 0 || byte === 10)
}

/** Acts like a small ledger: commits, seals after commits, begins tail files, publishes checkpoints. */
async function work(storage: StorageCapability, journal: Journal): Promise<void> {
  await Promise.all([journal.seal(storage, 'origin'), journal.seal(storage, 'keys/log.vkey')])
  await journal.publish(storage, 'empty')
  await journal.begin(storage, 0, 1)
  await journal.commit(storage, 200, 1300)
  await journal.commit(storage, 300, 40)
  const seals = [bundlePath(0), 'tile/0/000.b64', 'README.txt'].map((path) => journal.seal(storage, path))
  await Promise.all([...seals, journal.commit(storage, 301, 3000)])
  await journal.publish(storage, 'at 301')
  await journal.begin(storage, 256, 301)
  await journal.commit(storage, 302, 700)
  await journal.begin(storage, 256, 302)
  await Promise.all([journal.commit(storage, 303, 100), journal.publish(storage, 'at 302')])
}

/** Acts like a small ledger after a crash: seals all objects again and continues the tail that it finds. */
async function resume(storage: StorageCapability, journal: Journal): Promise<void> {
  const newest = await adopt(storage)
  const start = newest?.start ?? 0
  for (const path of ['origin', 'keys/log.vkey', 'README.txt', bundlePath(0), 'tile/0/000.b64'])
    await journal.seal(storage, path)
  if (newest === undefined) await journal.begin(storage, 0, 1)
  else journal.tails = [newest]
  await journal.commit(storage, start + 500, 1300)
  if (start === 0) await journal.begin(storage, 256, 500)
  await journal.publish(storage, 'later')
}

describe('FaultyDisk', () => {
  const steps = stepsOf(work)

  it('keeps every acknowledged write when the power is cut at any step', async () => {
    for (let cutAt = 1; cutAt <= (await steps) + 1; cutAt++) {
      for (let seed = 0; seed < (QUICK ? 3 : 12); seed++) {
        const journal = new Journal()
        const disk = new FaultyDisk({ seed, cutAt })
        await attempt(disk, (storage) => work(storage, journal))
        const found = disk.crash()
        expect(await journal.broken(await found.open()), `seed ${seed}, cut at ${cutAt}`).toBe(undefined)
        const shown = await show(await found.open())
        const later = await show(await found.crash().open())
        expect(later === shown, `seed ${seed}, cut at ${cutAt}: everything shown stays`).toBe(true)
      }
    }
  })

  it('keeps every acknowledged write, and keeps writing safely, when any step fails', async () => {
    for (const errno of ['EIO', 'ENOSPC'] as const) {
      for (let step = 1; step <= (await steps); step++) {
        for (let seed = 0; seed < (QUICK ? 2 : 6); seed++) {
          const journal = new Journal()
          const disk = new FaultyDisk({ seed, fail: { step, errno } })
          await attempt(disk, (storage) => work(storage, journal))
          const found = await disk.crash().open()
          expect(await journal.broken(found), `seed ${seed}, ${errno} at ${step}`).toBe(undefined)
        }
      }
    }
  })

  it('keeps everything that a process showed after it took over from a killed one', async () => {
    for (let cutAt = 1; cutAt <= (await steps); cutAt++) {
      for (let seed = 0; seed < (QUICK ? 2 : 6); seed++) {
        const disk = new FaultyDisk({ seed, cutAt })
        await attempt(disk, (storage) => work(storage, new Journal()))
        const next = disk.kill()
        const took = await next.open()
        await adopt(took)
        const shown = await show(took)
        const later = await show(await next.crash().open())
        expect(later === shown, `seed ${seed}, killed at ${cutAt}`).toBe(true)
      }
    }
  })

  it('keeps every write that a process acknowledged after it took over from one whose sync failed', async () => {
    const failing = await syncsOf(work)
    for (const step of failing) {
      for (let seed = 0; seed < (QUICK ? 3 : 12); seed++) {
        const disk = new FaultyDisk({ seed, fail: { step, errno: 'EIO' } })
        await attempt(disk, (storage) => work(storage, new Journal()))
        const next = disk.kill()
        const journal = new Journal()
        await resume(await next.open(), journal)
        const found = await next.crash().open()
        expect(await journal.broken(found), `seed ${seed}, ${disk.steps[step - 1]}, step ${step}`).toBe(
          undefined,
        )
      }
    }
  })

  it('continues after a crash: a new file with the same start cuts the torn end', async () => {
    for (let seed = 0; seed < 300; seed++) {
      const journal = new Journal()
      const disk = new FaultyDisk({ seed, cutAt: 20 + (seed % 60) })
      await attempt(disk, (storage) => work(storage, journal))
      const second = disk.crash({ cutAt: 4 + (seed % 23) })
      await attempt(second, async (storage) => {
        const start = (await tailOf(storage)).at(-1)?.start ?? 0
        await journal.begin(storage, start, 400)
        await journal.commit(storage, 401, 2000)
        await journal.seal(storage, 'origin')
        await journal.publish(storage, 'at 401')
      })
      expect(await journal.broken(await second.crash().open()), `seed ${seed}`).toBe(undefined)
    }
  })

  it('never replaces an append-only tail file, and removes it when each of its bundles is sealed', async () => {
    const disk = new FaultyDisk({ seed: 1, protects: true })
    const storage = await disk.open()
    const x = new Uint8Array([120])
    const tails = (): string[] => [...disk.dump().keys()].filter((path) => path.startsWith('tail/'))
    expect(storage.keepsTail).toBe(true)
    await storage.beginTail(0, 100, x)
    await expect(storage.beginTail(0, 100, x)).rejects.toMatchObject({ code: 'conflict' })
    await storage.beginTail(100, 600, x)
    await storage.seal({ kind: 'bundle', index: 1 }, x)
    await storage.beginTail(512, 600, x)
    expect(tails()).toEqual(['tail/000000000000', 'tail/000000000100', 'tail/000000000512'])
    await storage.seal({ kind: 'bundle', index: 0 }, x)
    await storage.seal({ kind: 'bundle', index: 2 }, x)
    await storage.beginTail(768, 800, x)
    await storage.close()
    expect(tails()).toEqual(['tail/000000000768'])
    await expect(disk.files.unlink('tail/000000000768')).rejects.toMatchObject({ code: 'EPERM' })
    await expect(disk.files.rename(bundlePath(0), 'tmp/x')).rejects.toMatchObject({ code: 'EPERM' })
  })

  it.each([
    ['files', (call: string) => call.startsWith('fsync tmp/')],
    ['the tail', (call: string) => call.startsWith('fdatasync tail/')],
    ['the directory of the tail', (call: string) => call === 'fsync tail'],
    ['the root', (call: string) => call === 'fsync .'],
    ['the directories of tiles', (call: string) => call.startsWith('fsync tile')],
  ])('is found out when it lies about syncing %s', async (_, lies) => {
    let found = 0
    for (let seed = 0; seed < 20; seed++) {
      for (let cutAt = 1; cutAt <= (await steps); cutAt += 3) {
        const journal = new Journal()
        const disk = new FaultyDisk({ seed, cutAt, lies })
        await attempt(disk, (storage) => work(storage, journal))
        const after = disk.crash({ lies: () => false })
        if (
          (await after
            .open()
            .then((storage) => journal.broken(storage))
            .catch(String)) !== undefined
        )
          found++
      }
    }
    expect(found).toBeGreaterThan(0)
  })

  it('repeats a run for the same seed', async () => {
    expect(await cutRun(7)).toEqual(await cutRun(7))
  })

  it('tears unsynced data at sector boundaries, and keeps synced data', async () => {
    const kinds = new Set<string>()
    for (let seed = 0; seed < 200; seed++) {
      const disk = new FaultyDisk({ seed, fill: 0 })
      const storage = await disk.open()
      await storage.beginTail(0, 1, new Uint8Array(700).fill(1))
      const cut = new FaultyDisk({ seed, fill: 0, cutAt: disk.steps.length + 3 })
      await attempt(cut, async (again) => {
        await again.beginTail(0, 1, new Uint8Array(700).fill(1))
        await again.commit(2, new Uint8Array(1800).fill(2))
      })
      const bytes = cut.crash().dump().get('tail/000000000000') ?? new Uint8Array()
      expect(bytes.subarray(0, 700).every((byte) => byte === 1)).toBe(true)
      kinds.add([1023, 1024, 1536, 2048].map((at) => bytes[at] ?? '-').join(''))
    }
    expect(kinds).toContain('----')
    expect(kinds).toContain('2222')
    expect(kinds).toContain('0222')
    expect(kinds).toContain('2020')
    expect([...kinds].some((kind) => kind.includes('-') && kind.includes('2'))).toBe(true)
  })

  it('flips one bit on the medium', async () => {
    const disk = new FaultyDisk({ seed: 3 })
    await (await disk.open()).seal({ kind: 'origin' }, pattern('origin', 50))
    const { path, offset, bit } = disk.flipBit()
    const read = await (await disk.crash().open()).read({ kind: 'origin' })
    const expected = pattern('origin', 50)
    expected[offset] = (expected[offset] ?? 0) ^ (1 << bit)
    expect([path, read]).toEqual(['origin', expected])
  })

  it('rejects every write after a failed sync, and still reads', async () => {
    const rehearsal = new FaultyDisk({ seed: 1 })
    const rehearsed = await rehearsal.open()
    await rehearsed.seal({ kind: 'origin' }, pattern('o', 9))
    await rehearsed.beginTail(0, 1, pattern('b', 9))
    await rehearsed.commit(2, pattern('c', 9))
    const step = rehearsal.steps.indexOf('fdatasync tail/000000000000') + 1
    const storage = await new FaultyDisk({ seed: 1, fail: { step, errno: 'EIO' } }).open()
    await storage.seal({ kind: 'origin' }, pattern('o', 9))
    await storage.beginTail(0, 1, pattern('b', 9))
    await expect(storage.commit(2, pattern('c', 9))).rejects.toMatchObject({
      code: 'io',
      message: 'tail/000000000000: EIO',
    })
    for (const verb of [
      storage.commit(2, pattern('c', 9)),
      storage.beginTail(0, 2, pattern('b', 9)),
      storage.seal({ kind: 'readme' }, pattern('r', 9)),
      storage.publish(pattern('p', 9)),
    ]) {
      await expect(verb).rejects.toMatchObject({
        code: 'io',
        message: /^writing stopped after an error: tail/,
      })
    }
    expect(await storage.read({ kind: 'origin' })).toEqual(pattern('o', 9))
  })
})

async function stepsOf(run: typeof work): Promise<number> {
  const disk = new FaultyDisk({ seed: 0 })
  await run(await disk.open(), new Journal())
  return disk.steps.length
}

/** Returns the numbers of the steps that are syncs, counted from 1. */
async function syncsOf(run: typeof work): Promise<number[]> {
  const disk = new FaultyDisk({ seed: 0 })
  await run(await disk.open(), new Journal())
  return disk.steps.flatMap((call, i) => (/^f(data)?sync /.test(call) ? [i + 1] : []))
}

async function attempt(disk: FaultyDisk, run: (storage: StorageCapability) => Promise<void>): Promise<void> {
  await disk.open().then(run).catch(ignorePowerCut(disk))
}

/** Opening or reading may fail, because of the power cut or the injected failure. */
function ignorePowerCut(disk: FaultyDisk): (error: unknown) => void {
  return (error) => {
    if (!(error instanceof Error) || error.name !== 'StorageError' || disk.steps.length === 0) throw error
  }
}

async function succeeds(verb: Promise<unknown>): Promise<boolean> {
  return verb.then(
    () => true,
    (error: unknown) => {
      if (error instanceof Error && error.name === 'StorageError') return false
      throw error
    },
  )
}

async function tailOf(storage: StorageCapability): Promise<TailFile[]> {
  const files: TailFile[] = []
  for await (const file of storage.tail()) files.push(file)
  return files
}

/** Writes the newest tail file again, as a process must before it appends to it. */
async function adopt(storage: StorageCapability): Promise<TailFile | undefined> {
  const newest = (await tailOf(storage)).at(-1)
  if (newest !== undefined) await storage.beginTail(newest.start, newest.start, newest.bytes)
  return newest
}

/** Returns everything that can be read from a storage, as text. */
async function show(storage: StorageCapability): Promise<string> {
  const names: ReadableName[] = [
    { kind: 'origin' },
    { kind: 'vkey', name: 'log' },
    { kind: 'readme' },
    { kind: 'bundle', index: 0 },
    { kind: 'tile', level: 0, index: 0 },
    { kind: 'checkpoint' },
  ]
  const shown = await Promise.all(
    names.map(async (name) => `${formatObjectName(name)} ${(await storage.read(name))?.join()}`),
  )
  for (const { start, bytes } of await tailOf(storage)) shown.push(`tail ${start} ${bytes.join()}`)
  return shown.join('\n')
}

/** Cuts the power in the middle of a run; returns its steps and the files that are left. */
async function cutRun(seed: number): Promise<[readonly string[], Map<string, Uint8Array>]> {
  const disk = new FaultyDisk({ seed, cutAt: 55 })
  await attempt(disk, (storage) => work(storage, new Journal()))
  return [disk.steps, disk.crash().dump()]
}

function concat(a: Uint8Array, b: Uint8Array): Uint8Array<ArrayBuffer> {
  const both = new Uint8Array(a.length + b.length)
  both.set(a)
  both.set(b, a.length)
  return both
}

/** Returns bytes that depend on the name. No byte is NUL or a line feed, because an unwritten sector reads as one of these. */
function pattern(name: string, length: number): Uint8Array<ArrayBuffer> {
  return Uint8Array.from(
    { length },
    (_, i) => 32 + ((name.charCodeAt(i % name.length) * 7 + i * 13 + name.length) % 90),
  )
}
