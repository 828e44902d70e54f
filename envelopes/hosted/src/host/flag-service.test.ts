// Tests both sides of file attributes over a channel: the supervisor sets them for a tenant and rejects invalid requests.
import { EventEmitter } from 'node:events'
import {
  appendFileSync,
  chownSync,
  closeSync,
  cpSync,
  existsSync,
  linkSync,
  mkdirSync,
  openSync,
  readdirSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { verifyDirectory } from '@service-fs/client/verify-directory'
import { SecondTree } from '@service-fs/ledger/second-tree/second-tree'
import { openTestLedger, TEST_ORIGIN, testSigner, textRecord } from '@service-fs/ledger/testing'
import { nodeRuntime } from '@service-fs/native/runtime'
import { treeDigests } from '@service-fs/native/tree-digests'
import { loadAttributes } from '@service-fs/storage-posix/attributes'
import { type FileFlags, localFlags } from '@service-fs/storage-posix/flags'
import { openPosixStorage } from '@service-fs/storage-posix/posix'
import { isImmutable, onlyGrows } from '@service-fs/storage-posix/probe'
import { survey } from '@service-fs/storage-posix/survey'
import { mountTest } from '@service-fs/storage-posix/testing-image'
import { verifierFromVkey } from '@service-fs/tlog/keys'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { Limiter } from '@service-fs/storage/limiter'
import { type Channel, supervisorFlags } from './flag-client.ts'
import type { FlagReply } from './flag-messages.ts'
import { FlagService, serveFlags } from './flag-service.ts'

const mount = mountTest('ext4')
const why = typeof mount === 'string' ? mount : ''
const path = typeof mount === 'string' ? '' : mount.path
afterAll(() => (typeof mount === 'string' ? undefined : mount.unmount()))

const TENANT = 64_321

/** Both ends of a channel between a tenant and its supervisor. */
class Ends extends EventEmitter {
  readonly misbehaviour: string[] = []
  readonly tenant: Channel & EventEmitter
  readonly child: EventEmitter & { connected: boolean; send(message: unknown): boolean }

  constructor(dir: string, uid: number) {
    super()
    const tenant = new EventEmitter()
    const child = new EventEmitter()
    this.child = Object.assign(child, {
      connected: true,
      send: (message: unknown) =>
        setImmediate(() => tenant.emit('message', structuredClone(message))) !== undefined,
    })
    this.tenant = Object.assign(tenant, {
      send: (message: unknown) => setImmediate(() => child.emit('message', structuredClone(message))),
      channel: undefined,
    })
    serveFlags(this.child, {
      dir,
      uid,
      checks: new Limiter(1),
      misbehaved: (reason) => this.misbehaviour.push(reason),
    })
  }
}

async function flagsOver(ends: Ends, dir: string): Promise<FileFlags> {
  const found = await supervisorFlags(dir, ends.tenant)
  if ('reason' in found) throw new Error(found.reason)
  return found.flags
}

const refused = (code: string): object => ({ done: false, code })

const batch = (from: number, count: number) =>
  Array.from({ length: count }, (_, i) => textRecord(`r${from + i}`, `text ${from + i}`))

describe.skipIf(why !== '')(`a tenant and its supervisor${why}`, () => {
  let count = 0
  let dir: string
  beforeEach(() => {
    dir = join(path, `tenant-${count++}`)
    mkdirSync(dir)
  })

  it('protects a ledger and its audit sub-ledger, and releases superseded tail files', async () => {
    const flags = await flagsOver(new Ends(dir, 0), dir)
    for (const at of [dir, join(dir, 'audit')]) {
      const ledger = await openTestLedger({ storage: await openPosixStorage(at, { flags, lock: false }) })
      for (let i = 0; i < 7; i++) await ledger.append(batch(ledger.size, 100))
      await ledger.close()
      expect(await survey(at)).toMatchObject({
        mutablePaths: [],
        mutableTails: [],
        tails: 1,
        growing: 1,
        writable: 0,
      })
      expect((await survey(at)).immutable).toBe(8)
      expect(readdirSync(join(at, 'tail'))).toEqual(['000000000512'])
      const again = await openTestLedger({ storage: await openPosixStorage(at, { flags, lock: false }) })
      await again.append(batch(700, 1))
      expect((await again.record(3)).id).toBe('r3')
      await again.close()
    }
    expect(() => renameSync(join(dir, 'audit/tile'), join(dir, 'audit/elsewhere'))).toThrow('EPERM')
  })

  it('protects a second tree, whose checkpoint is replaced nevertheless', async () => {
    const flags = await flagsOver(new Ends(dir, 0), dir)
    const ledger = await openTestLedger({ storage: await openPosixStorage(dir, { flags, lock: false }) })
    await ledger.append(batch(0, 600))
    const origin = `${TEST_ORIGIN}/sha3-256`
    const signer = testSigner(origin)
    const folder = join(dir, 'sha3-256')
    for (const size of [601, 1001]) {
      const storage = await openPosixStorage(folder, { flags, lock: false })
      const tree = new SecondTree({
        algorithm: 'sha3-256',
        hash: treeDigests['sha3-256'],
        origin,
        log: ledger,
        storage,
        signer,
        verifier: verifierFromVkey(signer.vkey),
        runtime: nodeRuntime,
      })
      tree.start()
      await expect.poll(() => tree.status()).toMatchObject({ state: 'kept', signed: size })
      await tree.stop()
      await storage.close()
      expect(await survey(dir, { trees: ['sha3-256'] })).toMatchObject({ mutablePaths: [], writable: 0 })
      expect(isImmutable(join(folder, 'tile/0/001.b64'))).toBe(true)
      if (size === 601) await ledger.append(batch(600, 400))
    }
    expect(isImmutable(join(folder, 'tile/0/002.b64'))).toBe(true)
    expect(() => renameSync(join(folder, 'tile'), join(folder, 'elsewhere'))).toThrow('EPERM')
    await ledger.close()
    expect((await verifyDirectory(dir)).problems).toEqual([])
  })

  it('keeps a torn tail file until all its entries are sealed', async () => {
    const flags = await flagsOver(new Ends(dir, 0), dir)
    const life = async (records: number): Promise<void> => {
      const storage = await openPosixStorage(dir, { flags, lock: false })
      const ledger = await openTestLedger({ storage })
      for (let i = 0; i < ledger.size; i++) expect((await ledger.record(i)).id).toBe(`r${i}`)
      await ledger.append(batch(ledger.size, records))
      await storage.close()
    }
    await life(100)
    for (const starts of [
      ['000000000000', '000000000100'],
      ['000000000000', '000000000100', '000000000110'],
    ]) {
      appendFileSync(join(dir, 'tail', readdirSync(join(dir, 'tail')).at(-1) ?? ''), 'QUJD\n'.repeat(30))
      await life(10)
      expect(readdirSync(join(dir, 'tail'))).toEqual(starts)
      const report = await verifyDirectory(dir, { vkeys: [testSigner().vkey] })
      expect(report.problems).toEqual([])
      expect(report).toMatchObject({ ok: true, pinned: true })
    }
    const ledger = await openTestLedger({ storage: await openPosixStorage(dir, { flags, lock: false }) })
    await ledger.append(batch(120, 200))
    await ledger.close()
    expect(readdirSync(join(dir, 'tail'))).toEqual(['000000000256'])
    expect(await survey(dir)).toMatchObject({ mutablePaths: [], mutableTails: [] })
  })

  it('reports why attributes cannot be set', async () => {
    const ramfs = mountTest('ramfs')
    if (typeof ramfs === 'string') throw new Error(ramfs)
    expect(await supervisorFlags(dir, new Ends(ramfs.path, 0).tenant)).toEqual({
      reason: 'the file system has no file attributes',
    })
    ramfs.unmount()
    const gone = new Ends(dir, 0)
    const flags = await flagsOver(gone, dir)
    gone.tenant.emit('disconnect')
    await expect(flags.sealed(join(dir, 'origin'))).rejects.toMatchObject({ code: 'io' })
  })

  it('reports a tenant that sends invalid messages', () => {
    for (const message of [
      null,
      'x',
      { kind: 'reach', moduleId: 'other' },
      { kind: 'flags', id: 1, verb: 'sealed' },
      { kind: 'flags', id: 1, verb: 'clear', path: 'origin' },
      { kind: 'flags', id: '1', verb: 'sealed', path: 'origin' },
      { kind: 'flags', id: 1, verb: 'sealed', path: 'x'.repeat(81) },
      { kind: 'flags', id: 1, verb: 'release', path: 'tail/000000000000' },
    ]) {
      const ends = new Ends(dir, 0)
      ends.child.emit('message', message)
      ends.child.emit('message', message)
      expect(ends.misbehaviour).toEqual(['it sent an invalid request'])
    }
    const many = new Ends(dir, 0)
    for (let id = 0; id < 33; id++) many.child.emit('message', { kind: 'flags', id, verb: 'hello' })
    expect(many.misbehaviour).toEqual(['it sent too many requests at once'])
  })
})

describe.skipIf(why !== '')(`a supervisor's checks of paths${why}`, () => {
  let count = 0
  let dir: string
  let service: FlagService
  const ask = (verb: string, name: string, newer = ''): Promise<FlagReply> =>
    service.answer({ kind: 'flags', id: 1, verb: verb as 'release', path: name, newer })
  const attributes = loadAttributes()

  beforeEach(async () => {
    dir = join(path, `refused-${count++}`)
    for (const made of ['', 'tail', 'tile', 'tile/entries', 'keys']) mkdirSync(join(dir, made))
    service = new FlagService(await attributes, { dir, uid: 0, checks: new Limiter(1) })
  })

  it('rejects paths outside the ledger format', async () => {
    mkdirSync(join(dir, 'tmp'))
    for (const name of ['tmp/1', 'checkpoint', 'lock', 'cache/records/LOG', 'tail/000000000000']) {
      writeFileSync(join(dir, name.startsWith('cache') ? 'lock' : name), 'x')
      expect(await ask('sealed', name), name).toMatchObject(refused('path'))
    }
    for (const name of [
      '',
      '.',
      '..',
      '../other/origin',
      '/etc/passwd',
      'tile/../origin',
      'tile//0',
      'audit/audit/origin',
    ])
      for (const verb of ['sealed', 'appendOnly', 'release'])
        expect(await ask(verb, name, 'tail/000000000256'), `${verb} ${name}`).toMatchObject(refused('path'))
    for (const name of [
      'tail',
      'audit',
      'tmp',
      'tail/0',
      'tail/x',
      'origin',
      'tile/entries/000.b64',
      'cache',
    ])
      expect(await ask('appendOnly', name), name).toMatchObject(refused('path'))
    expect(await onlyGrows(join(dir, 'tail/000000000000'))).toBe(false)
  })

  it('accepts the sealed files of a second tree of the ledger only', async () => {
    for (const made of [
      'sha3-256/tile/0',
      'sha3-256/tile/entries',
      'sha3-256/tmp',
      'audit/sha3-256',
      'other',
    ])
      mkdirSync(join(dir, made), { recursive: true })
    for (const name of [
      'sha3-256/checkpoint',
      'sha3-256/left-out.txt',
      'sha3-256/README.txt',
      'sha3-256/tile/entries/000.b64',
      'audit/sha3-256/origin',
      'other/origin',
    ]) {
      writeFileSync(join(dir, name), 'x')
      expect(await ask('sealed', name), name).toMatchObject(refused('path'))
      expect(await ask('appendOnly', name), name).toMatchObject(refused('path'))
    }
    for (const name of ['sha3-256', 'sha3-256/tmp', 'sha3-256/tile/entries', 'audit/sha3-256', 'other'])
      expect(await ask('appendOnly', name), name).toMatchObject(refused('path'))
    for (const name of ['sha3-256/origin', 'sha3-256/tile/0/000.b64']) {
      writeFileSync(join(dir, name), 'x')
      expect(await ask('sealed', name), name).toMatchObject({ done: true })
      expect(isImmutable(join(dir, name))).toBe(true)
    }
    for (const name of ['sha3-256/tile', 'sha3-256/tile/0'])
      expect(await ask('appendOnly', name), name).toMatchObject({ done: true })
  })

  it('rejects links, directories, foreign files, and files with two names or a writer', async () => {
    const elsewhere = `${dir}-elsewhere`
    mkdirSync(elsewhere)
    writeFileSync(join(elsewhere, '000.b64'), 'x')
    symlinkSync(join(elsewhere, '000.b64'), join(dir, 'origin'))
    expect(await ask('sealed', 'origin')).toMatchObject(refused('ELOOP'))
    symlinkSync(elsewhere, join(dir, 'tile/0'))
    expect(await ask('sealed', 'tile/0/000.b64')).toMatchObject(refused('ENOTDIR'))
    mkdirSync(join(dir, 'README.txt'))
    expect(await ask('sealed', 'README.txt')).toMatchObject(refused('corrupt'))
    linkSync(join(elsewhere, '000.b64'), join(dir, 'tile/entries/000.b64'))
    expect(await ask('sealed', 'tile/entries/000.b64')).toMatchObject(refused('corrupt'))
    writeFileSync(join(dir, 'tile/entries/001.b64'), 'x')
    chownSync(join(dir, 'tile/entries/001.b64'), TENANT, TENANT)
    expect(await ask('sealed', 'tile/entries/001.b64')).toMatchObject(refused('corrupt'))
    expect(await ask('sealed', 'tile/entries/002.b64')).toMatchObject(refused('ENOENT'))
    const fd = openSync(join(dir, 'tail/000000000000'), 'w')
    expect(await ask('appendOnly', 'tail/000000000000')).toMatchObject(refused('io'))
    closeSync(fd)
    expect(await onlyGrows(join(dir, 'tail/000000000000'))).toBe(false)
    expect(await ask('appendOnly', 'tail/000000000000')).toMatchObject({ done: true })
    expect(isImmutable(join(elsewhere, '000.b64'))).toBe(false)
  })

  it("rejects another tenant's files, by any path", async () => {
    const other = new FlagService(await attributes, { dir, uid: TENANT, checks: new Limiter(1) })
    writeFileSync(join(dir, 'origin'), 'x')
    const answer = await other.answer({ kind: 'flags', id: 7, verb: 'sealed', path: 'origin' })
    expect(answer).toEqual({
      kind: 'flags',
      id: 7,
      done: false,
      code: 'corrupt',
      message: `.: expected a file of uid ${TENANT}, found one of uid 0`,
    })
    chownSync(dir, TENANT, TENANT)
    expect(await other.answer({ kind: 'flags', id: 8, verb: 'sealed', path: 'origin' })).toMatchObject(
      refused('corrupt'),
    )
    expect(isImmutable(join(dir, 'origin'))).toBe(false)
  })
})

describe.skipIf(why !== '')(`a supervisor that gets a request to release a tail file${why}`, () => {
  const OLD = 'tail/000000000000'
  const NEWER = 'tail/000000000256'
  let ledgers: string
  let count = 0
  let dir: string
  let service: FlagService
  const release = (old = OLD, newer = NEWER): Promise<FlagReply> =>
    service.answer({ kind: 'flags', id: 1, verb: 'release', path: old, newer })
  const kept = refused('unsealed')

  /** A ledger that was killed with 300 entries in its first tail file, together with the tail file that a clean stop begins. */
  beforeAll(async () => {
    ledgers = join(path, 'release')
    const storage = await openPosixStorage(join(ledgers, 'before'), { sync: false })
    const ledger = await openTestLedger({ storage })
    await ledger.append(batch(0, 300))
    cpSync(join(ledgers, 'before/tail'), join(ledgers, 'tail'), { recursive: true })
    await ledger.close()
    cpSync(join(ledgers, 'tail'), join(ledgers, 'before/tail'), { recursive: true })
  })

  beforeEach(async () => {
    dir = join(ledgers, `${count++}`)
    cpSync(join(ledgers, 'before'), dir, { recursive: true })
    expect(readdirSync(join(dir, 'tail'))).toEqual(['000000000000', '000000000256'])
    service = new FlagService(await loadAttributes(), { dir, uid: 0, checks: new Limiter(1) })
  })

  async function protect(): Promise<void> {
    const local = await localFlags(dir)
    if ('reason' in local) throw new Error(local.reason)
    await survey(dir, { flags: local.flags })
    expect(await onlyGrows(join(dir, OLD))).toBe(true)
  }

  it('clears append-only when all its entries are sealed or in a newer tail file', async () => {
    await protect()
    expect(await release()).toMatchObject({ done: true })
    rmSync(join(dir, OLD))
    expect(await onlyGrows(join(dir, NEWER))).toBe(true)
    expect(await release(NEWER, NEWER)).toMatchObject(kept)
    writeFileSync(join(dir, 'tail/000000000100'), 'without an attribute')
    expect(await release('tail/000000000100', NEWER)).toMatchObject({ done: true })
    expect(await release(NEWER, OLD)).toMatchObject({ done: false, code: 'ENOENT' })
  })

  it('keeps append-only when the bundle is missing, different or mutable', async () => {
    const bundle = join(dir, 'tile/entries/000.b64')
    renameSync(bundle, `${dir}-bundle`)
    await protect()
    expect(await release()).toMatchObject(kept)
    writeFileSync(bundle, 'QUJD\n'.repeat(256), { mode: 0o444 })
    const other = await service.answer({ kind: 'flags', id: 1, verb: 'sealed', path: 'tile/entries/000.b64' })
    expect(other).toMatchObject({ done: true })
    expect(await release()).toMatchObject(kept)
  })

  it('keeps append-only while a bundle or the newer tail file lacks its attribute', async () => {
    const flags = await loadAttributes()
    await protect()
    for (const name of ['tile/entries/000.b64', NEWER]) {
      const fd = openSync(join(dir, name), 'r')
      const attribute = name === NEWER ? 'append-only' : 'immutable'
      flags?.set(fd, attribute, false)
      expect(await release(), name).toMatchObject(kept)
      flags?.set(fd, attribute, true)
      closeSync(fd)
    }
    expect(await release()).toMatchObject({ done: true })
  })

  it('keeps append-only when the newer tail file belongs to another ledger or has different entries', async () => {
    cpSync(dir, join(`${dir}-other`, 'audit'), { recursive: true })
    cpSync(join(`${dir}-other`, 'audit'), join(dir, 'audit'), { recursive: true })
    writeFileSync(join(dir, NEWER), 'nothing of the kind')
    await protect()
    expect(await release(OLD, `audit/${NEWER}`)).toMatchObject({ done: false, code: 'path' })
    expect(await release()).toMatchObject(kept)
    expect(existsSync(join(dir, OLD))).toBe(true)
    expect(await onlyGrows(join(dir, OLD))).toBe(true)
  })
})
