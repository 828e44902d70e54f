import { execFileSync } from 'node:child_process'
import { afterAll, describe, expect, it } from 'vitest'
import { bundleScript, hasCommand, temporaryDirectory } from './testing.ts'

/** Tries each verb and prints its result. */
const SCRIPT = `
  import { openPosixStorage } from './posix.ts'
  const bytes = (text) => new Uint8Array(Buffer.from(text))
  const storage = await openPosixStorage(process.argv[2])
  const outcomes = []
  const tell = (promise) => promise.then((value) => outcomes.push(value === undefined ? 'done' : Buffer.from(value).toString()),
    (error) => outcomes.push(error.code + ' ' + error.message))
  await tell(storage.seal({ kind: 'origin' }, bytes('o')))
  await tell(storage.beginTail(0, 1, bytes('begin')))
  await tell(storage.seal({ kind: 'tile', level: 0, index: 0 }, bytes('t')))
  await tell(storage.commit(2, bytes('c')))
  await tell(storage.commit(3, bytes('c')))
  await tell(storage.beginTail(0, 3, bytes('begin')))
  await tell(storage.publish(bytes('p')))
  await tell(storage.seal({ kind: 'readme' }, bytes('r')))
  await tell(storage.read({ kind: 'origin' }))
  await storage.close()
  console.log(JSON.stringify(outcomes))
`

const injects = process.platform === 'linux' && hasCommand('strace', '-V')

describe.skipIf(!injects)(`a failing disk${injects ? '' : ' (skipped: strace is not installed)'}`, () => {
  const dir = temporaryDirectory()
  const script = bundleScript(dir.path, SCRIPT)
  afterAll(() => dir.remove())

  /** Returns the results of the verbs when a system call on a path in the ledger fails. */
  function outcomes(name: string, call: string, errno: string, path?: string): unknown {
    const ledger = `${dir.path}/${name}`
    const only = path === undefined ? [] : ['-P', `${ledger}/${path}`]
    const inject = ['-e', `trace=${call}`, '-e', `inject=${call}:error=${errno}`]
    const args = ['-f', '-qq', '-o', '/dev/null', ...only, ...inject, process.execPath, script, ledger]
    const env = { ...process.env, UV_USE_IO_URING: '0' }
    return JSON.parse(execFileSync('strace', args, { env, encoding: 'utf8' }))
  }

  it('stops writing after a failed sync of a commit', () => {
    const refused = 'io writing stopped after an error: tail/000000000000: EIO'
    const expected = [
      'done',
      'done',
      'done',
      'io tail/000000000000: EIO',
      refused,
      refused,
      refused,
      refused,
      'o',
    ]
    expect(outcomes('a', 'fdatasync', 'EIO')).toEqual(expected)
  })

  it('stops writing after a failed write of a commit', () => {
    const refused = 'io writing stopped after an error: tail/000000000000: ENOSPC'
    const expected = [
      'done',
      'done',
      'done',
      'full tail/000000000000: ENOSPC',
      refused,
      refused,
      refused,
      refused,
      'o',
    ]
    expect(outcomes('b', 'pwrite64', 'ENOSPC', 'tail/000000000000')).toEqual(expected)
  })

  it('stops writing after a failed sync of a directory', () => {
    const refused = 'io writing stopped after an error: tile/0: EIO'
    const expected = ['done', 'done', 'io tile/0: EIO', refused, refused, refused, refused, refused, 'o']
    expect(outcomes('c', 'fsync', 'EIO', 'tile/0')).toEqual(expected)
  })

  it('keeps writing after a failed sync of a file that has no name yet', () => {
    const expected = ['done', 'done', 'io tmp/3: EIO', 'done', 'done', 'done', 'done', 'done', 'o']
    expect(outcomes('d', 'fsync', 'EIO', 'tmp/3')).toEqual(expected)
  })

  it('stops writing after a failed close of a synced directory', () => {
    const refused = 'io writing stopped after an error: tile/0: EIO'
    const expected = ['done', 'done', 'io tile/0: EIO', refused, refused, refused, refused, refused, 'o']
    expect(outcomes('f', 'close', 'EIO', 'tile/0')).toEqual(expected)
  })

  it.each([
    ['g', 'close', 'EIO', 'io', 'tmp/3'],
    ['h', 'openat', 'EMFILE', 'io', 'tmp/3'],
    ['i', 'openat', 'ENOSPC', 'full', 'tmp/3'],
    ['j', 'write', 'ENOSPC', 'full', 'tmp/3'],
    ['k', 'fchmod', 'EIO', 'io', 'tmp/3'],
    ['l', 'link', 'EIO', 'io', 'tile/0/000.b64'],
    ['m', 'link', 'ENOSPC', 'full', 'tile/0/000.b64'],
  ])('keeps writing after a file could not be sealed (%s: %s, %s)', (name, call, errno, code, path) => {
    const failed = `${code} ${path}: ${errno}`
    const expected = ['done', 'done', failed, 'done', 'done', 'done', 'done', 'done', 'o']
    expect(outcomes(name, call, errno, path)).toEqual(expected)
  })

  it('seals a file although its second name could not be removed', () => {
    const expected = ['done', 'done', 'done', 'done', 'done', 'done', 'done', 'done', 'o']
    expect(outcomes('n', 'unlink', 'EIO', 'tmp/3')).toEqual(expected)
  })

  it('keeps writing after it failed to open a directory', () => {
    const expected = ['done', 'done', 'io tile/0: EMFILE', 'done', 'done', 'done', 'done', 'done', 'o']
    expect(outcomes('e', 'openat', 'EMFILE', 'tile/0')).toEqual(expected)
  })
})
