import { chmod, mkdtemp, readFile, rm, stat, symlink, writeFile } from 'node:fs/promises'
import { createHash } from 'node:crypto'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Command } from 'commander'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { addToken } from './command.ts'
import { readTokens, TokenTable } from '@service-fs/access/tokens'

let dir: string
let file: string
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'token-'))
  file = join(dir, 'tokens.json')
})
afterEach(() => rm(dir, { recursive: true, force: true }))

interface Ran {
  status: number
  out: string
  err: string
}

async function run(...args: string[]): Promise<Ran> {
  const ran = { status: -1, out: '', err: '' }
  const program = new Command().exitOverride().configureOutput({ writeErr: () => {}, writeOut: () => {} })
  addToken(program, {
    out: async (content) => void (ran.out += content.toString()),
    err: (line) => void (ran.err += `${line}\n`),
    stdin: async function* () {},
    terminal: undefined,
    status: (code) => void (ran.status = code),
    exit: () => {
      throw new Error('exit')
    },
  })
  await program.parseAsync(['token', ...args], { from: 'user' })
  return ran
}

const add = (name: string, ...more: string[]): Promise<Ran> =>
  run('add', '--file', file, '--name', name, '--tenant', 'acme', '--roles', 'read,append', ...more)
const json = ({ out }: Ran): Record<string, any> => JSON.parse(out) as Record<string, any>
const inAYear = (text: string): number => Math.abs(Date.parse(text) - Date.now() - 365 * 86_400_000)

describe('add', () => {
  it('prints only the token, and stores only its hash in a file of mode 0600', async () => {
    const { status, out, err } = await add('ci')
    expect(status).toBe(0)
    expect(out).toMatch(/^fs_[0-9a-z]{12}_[A-Za-z0-9_-]{43}\n$/)
    const token = out.trim()
    expect(err).toMatch(/^token [0-9a-z]{12}: ci, tenant acme, read append, expires 20/)
    const kept = await readFile(file, 'utf8')
    expect(kept).not.toContain(token.slice(16))
    expect(err).not.toContain(token.slice(16))
    expect(kept).toContain(createHash('sha256').update(token).digest('hex'))
    expect((await stat(file)).mode & 0o777).toBe(0o600)
    expect((await run('ls', '--file', file)).out).not.toContain(token.slice(16))
  })

  it('makes a token that expires after a year by default', async () => {
    const issued = [
      json(await add('a', '--json')),
      json(await add('b', '--expires', 'never', '--json')),
      json(await add('c', '--expires', '2h', '--json')),
      json(await add('d', '--expires', '2999-01-01T00:00:00Z', '--json')),
    ]
    expect(inAYear(issued[0]?.['expires'])).toBeLessThan(60_000)
    expect(issued[1]).not.toHaveProperty('expires')
    expect(Date.parse(issued[2]?.['expires']) - Date.now()).toBeLessThan(2 * 3_600_000)
    expect(issued[3]?.['expires']).toBe('2999-01-01T00:00:00.000Z')
    expect(Object.keys(issued[0] ?? {})).not.toContain('sha256')
  })

  it('rejects a second valid token for the same name and tenant', async () => {
    const first = json(await add('ci', '--json'))
    const again = await add('ci')
    expect([again.status, again.out]).toEqual([3, ''])
    expect(again.err).toContain(first['id'])
    expect(
      (await run('add', '--file', file, '--name', 'ci', '--tenant', '*', '--roles', 'read')).status,
    ).toBe(0)
    await run('revoke', first['id'], '--file', file)
    expect((await add('ci')).status).toBe(0)
  })

  it.each([
    [['--roles', 'read,write'], '--roles'],
    [['--tenant', 'Acme'], '--tenant'],
    [['--name', 'a b'], '--name'],
    [['--name', ''], '--name'],
    [['--expires', 'tomorrow'], '--expires'],
    [['--expires', '2001-01-01T00:00:00Z'], '--expires'],
    [['--config', 'x'], '--file'],
  ])('rejects %j', async (more, named) => {
    const { status, out, err } = await add('ci', ...more)
    expect([status, out]).toEqual([2, ''])
    expect(err).toContain(named)
    await expect(stat(file)).rejects.toThrow('ENOENT')
  })

  it('writes the token to a new file with --out', async () => {
    const out = join(dir, 'secret')
    const made = await add('ci', '--out', out, '--json')
    expect(made.status).toBe(0)
    const text = (await readFile(out, 'utf8')).trim()
    expect(new TokenTable(await readTokens(file)).find(text)?.name).toBe('ci')
    expect((await stat(out)).mode & 0o777).toBe(0o600)
    expect(made.out + made.err).not.toContain(text.slice(16))
    expect(json(made)).toMatchObject({ name: 'ci', out })
    expect(await add('other', '--out', out)).toMatchObject({ status: 3, out: '' })
    expect(await readTokens(file)).toHaveLength(1)
    // A failure leaves no file.
    expect(await add('ci', '--out', `${out}2`)).toMatchObject({ status: 3 })
    await expect(stat(`${out}2`)).rejects.toThrow('ENOENT')
  })

  it('keeps all tokens that are added concurrently', async () => {
    await Promise.all(Array.from({ length: 20 }, (_, i) => add(`n${i}`)))
    expect(await readTokens(file)).toHaveLength(20)
  })
})

describe('rotate', () => {
  it('makes a successor, and keeps the old token valid for the overlap', async () => {
    const old = json(await add('ci', '--json'))
    const next = json(await run('rotate', old['id'], '--file', file, '--overlap', '1h', '--json'))
    expect(next).toMatchObject({ name: 'ci', tenant: 'acme', roles: ['read', 'append'], replaces: old['id'] })
    expect(inAYear(next['expires'])).toBeLessThan(60_000)
    const tokens = await readTokens(file)
    const until = Date.parse(tokens.find(({ id }) => id === old['id'])?.expires ?? '')
    expect(Math.abs(until - Date.now() - 3_600_000)).toBeLessThan(60_000)
    const table = new TokenTable(tokens)
    expect(table.find(old['token'])?.name).toBe('ci')
    expect(table.find(next['token'])?.name).toBe('ci')
  })

  it('never extends the expiry of the old token', async () => {
    const old = json(await add('ci', '--expires', '1h', '--json'))
    const next = json(await run('rotate', old['id'], '--file', file, '--json'))
    expect(next['replaced_until']).toBe(old['expires'])
  })

  it('rejects a token that has a successor', async () => {
    const old = json(await add('ci', '--json'))
    const next = json(await run('rotate', old['id'], '--file', file, '--json'))
    const again = await run('rotate', old['id'], '--file', file)
    expect(again).toMatchObject({ status: 3, out: '', err: expect.stringContaining(`${next['id']} is its`) })
    expect(await run('rotate', next['id'], '--file', file)).toMatchObject({ status: 0 })
  })

  it('rejects a revoked token', async () => {
    const { id } = json(await add('ci', '--json')) as { id: string }
    await run('revoke', id, '--file', file)
    expect(await run('rotate', id, '--file', file)).toMatchObject({ status: 3, out: '' })
  })
})

it('service-fs token revokes tokens and lists their states', async () => {
  const [a, b] = [json(await add('a', '--json')), json(await add('b', '--json'))]
  expect((await run('revoke', a['id'], 'nobody', '--file', file)).status).toBe(3)
  expect(json(await run('ls', '--file', file, '--json'))['tokens']).toMatchObject([
    { state: 'valid' },
    { state: 'valid' },
  ])
  expect(json(await run('revoke', a['id'], '--file', file, '--json'))['revoked']).toMatchObject([
    { id: a['id'] },
  ])
  const list = await run('ls', '--file', file)
  expect(list.out.split('\n')[0]).toMatch(new RegExp(`^${a['id']}  a  acme  read,append  revoked 20`))
  expect(list.out.split('\n')[1]).toMatch(new RegExp(`^${b['id']}  b  acme  read,append  expires 20`))
})

describe('the token file', () => {
  it('is named in the configuration, by a path relative to the configuration', async () => {
    await writeFile(join(dir, 'host.json'), '{"root":"/x","access":{"tokens":"tokens.json"}}')
    const { status } = await run(
      'add',
      '--config',
      join(dir, 'host.json'),
      '--name',
      'a',
      '--tenant',
      '*',
      '--roles',
      'read',
    )
    expect(status).toBe(0)
    expect(await readTokens(file)).toHaveLength(1)
  })

  it('accepts a token for an unknown tenant, with a note', async () => {
    const config = join(dir, 'host.json')
    await writeFile(config, '{"access":{"tokens":"tokens.json"},"tenants":[{"moduleId":"acme"}]}')
    const made = (name: string, tenant: string): ReturnType<typeof run> =>
      run('add', '--config', config, '--name', name, '--tenant', tenant, '--roles', 'read')
    expect((await made('a', 'amce')).err).toContain(`note: ${config} has no tenant amce`)
    expect((await made('b', 'acme')).err + (await made('c', '*')).err).not.toContain('note')
  })

  it('is rejected and left unchanged when others can read it', async () => {
    await add('a')
    await chmod(file, 0o640)
    const before = await readFile(file, 'utf8')
    expect(await add('b')).toMatchObject({ status: 3 })
    expect((await add('b')).err).toContain('mode 0640')
    expect(await readFile(file, 'utf8')).toBe(before)
  })

  it('is changed in place behind a symbolic link', async () => {
    await add('a')
    await symlink(file, join(dir, 'link'))
    await run('add', '--file', join(dir, 'link'), '--name', 'b', '--tenant', '*', '--roles', 'read')
    expect(await readTokens(file)).toHaveLength(2)
    expect((await readTokens(join(dir, 'link'))).map(({ name }) => name)).toEqual(['a', 'b'])
  })

  it.each([
    ['{', 'expected JSON'],
    ['{"tokens":[],"more":1}', 'more: no such field'],
    ['{"tokens":[{"id":"x"}]}', 'tokens.0'],
    [
      '{"tokens":[{"id":"aaaaaaaaaaaa","name":"a","sha256":"00","tenant":"a","roles":["read"],"created":"2026-01-01T00:00:00Z"}]}',
      'tokens.0.sha256: expected 64',
    ],
  ])('is rejected when malformed: %s', async (text, named) => {
    await writeFile(file, text, { mode: 0o600 })
    const { status, err } = await add('a')
    expect(status).toBe(3)
    expect(err).toContain(named)
    expect(err).toContain('tokens.json')
  })

  it.skipIf(process.getuid?.() !== 0)('keeps its owner when root changes it (needs root)', async () => {
    await add('a')
    const { chown } = await import('node:fs/promises')
    await chown(file, 12_345, 12_345)
    await add('b')
    expect(await stat(file)).toMatchObject({ uid: 12_345, gid: 12_345 })
  })
})
