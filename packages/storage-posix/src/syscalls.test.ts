import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { bundleScript, hasCommand, temporaryDirectory } from './testing.ts'

const CALLS =
  'openat,write,writev,pwrite64,pwritev,fchmod,fsync,fdatasync,close,link,linkat,rename,renameat,renameat2,unlink,unlinkat,mkdir,mkdirat,ftruncate'

/** Prints the name of each section before it begins, so that it appears in strace's output. */
const SCRIPT = `
  import { writeSync } from 'node:fs'
  import { openPosixStorage } from './posix.ts'
  const bytes = (text) => new Uint8Array(Buffer.from(text))
  const storage = await openPosixStorage(process.argv[2])
  const section = async (name, run) => {
    writeSync(1, 'section ' + name)
    await run()
    writeSync(1, 'section -')
  }
  await section('seal, new directories', () => storage.seal({ kind: 'bundle', index: 0 }, bytes('0')))
  await section('seal', () => storage.seal({ kind: 'bundle', index: 1 }, bytes('1')))
  await section('seal again', () => storage.seal({ kind: 'bundle', index: 1 }, bytes('1')))
  await section('seal conflict', () => storage.seal({ kind: 'bundle', index: 1 }, bytes('2')).catch(() => undefined))
  for await (const file of storage.tail()) throw new Error(String(file.start))
  await section('begin', () => storage.beginTail(0, 1, bytes('begin')))
  await section('commit, first', () => storage.commit(2, bytes('first')))
  await section('commit', () => storage.commit(3, bytes('second')))
  await section('publish', () => storage.publish(bytes('checkpoint')))
  await section('begin next', () => storage.beginTail(256, 257, bytes('begin')))
  await section('commit, next', () => storage.commit(258, bytes('third')))
  await section('seal many', () =>
    Promise.all(Array.from({ length: 40 }, (_, i) => storage.seal({ kind: 'bundle', index: 110 + i }, bytes('x')))))
  await storage.seal({ kind: 'vkey', name: 'log' }, bytes('key'))
  await section('read', () => storage.read({ kind: 'bundle', index: 0 }))
  await section('close', () => storage.close())
  const again = await openPosixStorage(process.argv[2])
  await section('tail', async () => { for await (const file of again.tail()) if (file.start !== 256) throw new Error() })
  await section('read, after a restart', () => again.read({ kind: 'vkey', name: 'log' }))
  await section('read, once more', () => again.read({ kind: 'bundle', index: 1 }))
  await again.close()
`

const create = (n: number, mode = true): string[] => [
  `openat tmp/${n} O_CREAT|O_EXCL|O_NOFOLLOW|O_WRONLY 0600`,
  `write tmp/${n}`,
  ...(mode ? [`fchmod tmp/${n} 0444`] : []),
  `fsync tmp/${n}`,
  `close tmp/${n}`,
]
const syncDir = (path: string): string[] => [
  `openat ${path} O_DIRECTORY|O_NOFOLLOW|O_RDONLY`,
  `fsync ${path}`,
  `close ${path}`,
]
const readFile = (path: string): string[] => [
  `openat ${path} O_NOFOLLOW|O_NONBLOCK|O_RDONLY`,
  `close ${path}`,
]

const traced = process.platform === 'linux' && hasCommand('strace', '-V')

describe.skipIf(!traced)(`the system calls${traced ? '' : ' (skipped: strace is not installed)'}`, () => {
  const dir = temporaryDirectory()
  let sections: Map<string, string[]>
  beforeAll(() => {
    const script = bundleScript(dir.path, SCRIPT)
    const log = `${dir.path}/strace`
    const ledger = `${dir.path}/ledger`
    const args = ['-f', '-y', '-s', '64', '-e', `trace=${CALLS}`, '-o', log, process.execPath, script, ledger]
    execFileSync('strace', args, {
      env: { ...process.env, UV_USE_IO_URING: '0' },
      stdio: ['ignore', 'ignore', 'inherit'],
    })
    sections = parseLog(readFileSync(log, 'latin1'), ledger)
  })
  afterAll(() => dir.remove())

  const calls = (section: string): string[] => sections.get(section) ?? []

  it('seals', () => {
    const path = 'tile/entries/001.b64'
    expect(calls('seal')).toEqual([
      ...create(2),
      `link tmp/2 ${path}`,
      ...syncDir('tile/entries'),
      'unlink tmp/2',
    ])
  })

  it('seals into new directories, each durable in its parent', () => {
    expect(calls('seal, new directories')).toEqual([
      'mkdir tile 0700',
      ...syncDir('.'),
      'mkdir tile/entries 0700',
      ...syncDir('tile'),
      ...create(1),
      'link tmp/1 tile/entries/000.b64',
      ...syncDir('tile/entries'),
      'unlink tmp/1',
    ])
  })

  it('seals the same bytes again, durably', () => {
    const path = 'tile/entries/001.b64'
    expect(calls('seal again')).toEqual([
      ...create(3),
      `link tmp/3 ${path} EEXIST`,
      ...readFile(path),
      `rename tmp/3 ${path}`,
      ...syncDir('tile/entries'),
    ])
  })

  it('leaves a sealed object unchanged', () => {
    const path = 'tile/entries/001.b64'
    expect(calls('seal conflict')).toEqual([
      ...create(4),
      `link tmp/4 ${path} EEXIST`,
      ...readFile(path),
      'unlink tmp/4',
    ])
  })

  it('begins the tail', () => {
    expect(calls('begin')).toEqual([
      'mkdir tail 0700',
      ...syncDir('.'),
      ...create(5, false),
      'rename tmp/5 tail/000000000000',
      ...syncDir('tail'),
    ])
  })

  it('commits with one write and one fdatasync', () => {
    const path = 'tail/000000000000'
    const commit = [`pwrite64 ${path}`, `fdatasync ${path}`]
    expect(calls('commit, first')).toEqual([`openat ${path} O_NOFOLLOW|O_NONBLOCK|O_WRONLY`, ...commit])
    expect(calls('commit')).toEqual(commit)
  })

  it('publishes', () => {
    expect(calls('publish')).toEqual([...create(6, false), 'rename tmp/6 checkpoint', ...syncDir('.')])
  })

  it('begins the next tail file before it removes the older one', () => {
    expect(calls('begin next')).toEqual([
      ...create(7, false),
      'rename tmp/7 tail/000000000256',
      ...syncDir('tail'),
      'close tail/000000000000',
      'unlink tail/000000000000',
    ])
    expect(calls('commit, next')).toContain('pwrite64 tail/000000000256')
  })

  it('shares the directory sync among concurrent seals', () => {
    const many = calls('seal many')
    const syncs = many.flatMap((call, i) => (call === 'fsync tile/entries' ? [i] : []))
    const links = many.flatMap((call, i) => (call.startsWith('link ') ? [i] : []))
    expect(links.length).toBe(40)
    expect(syncs.length).toBeLessThanOrEqual(10)
    expect(syncs.at(-1)).toBeGreaterThan(links.at(-1) ?? 0)
    for (const link of links) {
      const temporary = many[link]?.split(' ')[1]
      const synced = many.indexOf(`fsync ${temporary}`)
      const unlinked = many.indexOf(`unlink ${temporary}`)
      expect(synced).toBeGreaterThan(many.indexOf(`write ${temporary}`))
      expect(synced).toBeLessThan(link)
      expect(syncs.some((sync) => link < sync && sync < unlinked)).toBe(true)
    }
  })

  it('reads', () => {
    expect(calls('read')).toEqual(readFile('tile/entries/000.b64'))
    expect(calls('read, once more')).toEqual(readFile('tile/entries/001.b64'))
  })

  it('syncs names that an earlier process may have left, before it reads them', () => {
    expect(calls('tail')).toEqual([
      ...syncDir('tail'),
      'openat tail O_DIRECTORY|O_NONBLOCK|O_RDONLY',
      'close tail',
      ...syncDir('tile'),
      ...syncDir('tile/entries'),
      ...readFile('tail/000000000256'),
    ])
    expect(calls('read, after a restart')).toEqual([...syncDir('keys'), ...readFile('keys/log.vkey')])
  })
})

/** Returns the calls of each section on files of the ledger, in the order in which they begin: `fsync tmp/1`. */
function parseLog(log: string, ledger: string): Map<string, string[]> {
  const sections = new Map<string, string[]>()
  const unfinished = new Map<string, { calls: string[]; at: number }>()
  let calls: string[] = []
  for (const line of log.split('\n')) {
    const marker = /write\(1<[^>]*>, "section ([^"]*)"/.exec(line)?.[1]
    if (marker !== undefined) {
      calls = []
      sections.set(marker, calls)
      continue
    }
    const pid = line.split(' ')[0] ?? ''
    const errno = /\) += -1 (E\w+)/.exec(line)?.[1]
    const waiting = unfinished.get(pid)
    if (waiting !== undefined && / resumed>/.test(line)) {
      unfinished.delete(pid)
      if (errno !== undefined) waiting.calls[waiting.at] += ` ${errno}`
      continue
    }
    const call = parseCall(line, ledger)
    if (call === undefined) continue
    calls.push(errno === undefined ? call : `${call} ${errno}`)
    if (line.endsWith('<unfinished ...>')) unfinished.set(pid, { calls, at: calls.length - 1 })
  }
  return sections
}

function parseCall(line: string, ledger: string): string | undefined {
  const [, name, rest] = /^\d+ +(\w+)\((.*)$/.exec(line) ?? []
  if (name === undefined || rest === undefined) return undefined
  const quoted = [...rest.matchAll(/"([^"]*)"/g)].map((match) => match[1] ?? '')
  const byName = ['openat', 'link', 'linkat', 'rename', 'unlink', 'mkdir'].includes(name)
  const paths = byName ? quoted : [/^\d+<([^>]*)>/.exec(rest)?.[1] ?? '']
  if (!paths.every((path) => path === ledger || path.startsWith(`${ledger}/`))) return undefined
  const words = [name, ...paths.map((path) => path.slice(ledger.length + 1) || '.')]
  const flags = /, (O_[A-Z_|]+)/.exec(rest)?.[1]
  const mode = /, (0\d{3})\b/.exec(rest)?.[1]
  if (flags !== undefined && name === 'openat') words.push(sortedFlags(flags))
  if (mode !== undefined && name !== 'write') words.push(mode)
  return words.join(' ')
}

/** Removes O_CLOEXEC, which Node always adds, and sorts the flags, because their order in strace's output varies. */
function sortedFlags(flags: string): string {
  const kept = flags.split('|').filter((flag) => flag !== 'O_CLOEXEC' && flag !== 'O_LARGEFILE')
  return kept.sort().join('|')
}
