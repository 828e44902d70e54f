import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { changeTenants, loadHostConfig, parseHostConfig, writeHostConfig } from './config.ts'
import { tenantCommand } from './launch.ts'

const parse = (value: unknown) => parseHostConfig(JSON.stringify(value), '/etc/service-fs/host.json')

let dir: string
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'host-config-'))
})
afterEach(() => rm(dir, { recursive: true }))

it('the host fills in defaults and resolves paths relative to the file', () => {
  expect(parse({ root: 'ledgers' })).toEqual({
    root: '/etc/service-fs/ledgers',
    run: '/run/service-fs',
    listen: ['127.0.0.1:8080'],
    front: { uid: 70_099, gid: 70_099 },
    uids: { from: 70_100, to: 79_999 },
    idleStopSeconds: 600,
    immutable: 'auto',
    tenants: [],
  })
})

it('the host resolves the trust anchors of a tenant relative to the file', () => {
  const authors = { anchors: 'authors.pem', require: ['text/', '*'] }
  expect(parse({ root: 'x', tenants: [{ moduleId: 'a', authors }, { moduleId: 'b' }] }).tenants).toEqual([
    { moduleId: 'a', authors: { ...authors, anchors: '/etc/service-fs/authors.pem' } },
    { moduleId: 'b' },
  ])
})

it.each([
  [{}, 'root: expected a value, found none'],
  [{ root: 7 }, 'root: expected string, found 7'],
  [{ root: '/x', rooot: 1 }, 'rooot: no such field'],
  [{ root: '/x', listen: [] }, 'listen: expected at least one address, found []'],
  [{ root: '/x', idleStopSeconds: -1 }, 'idleStopSeconds: expected an integer from 0'],
  [{ root: '/x', immutable: 'yes' }, 'immutable: expected ("auto" | "off" | "required"), found "yes"'],
  [{ root: '/x', tenants: [{ moduleId: 'A' }] }, 'tenants.0.moduleId: expected lower-case'],
  [{ root: '/x', tenants: [{ moduleId: 'a', color: 'red' }] }, 'tenants.0.color: no such field'],
  [
    { root: '/x', tenants: [{ moduleId: 'a', authors: { require: ['*'] } }] },
    'tenants.0.authors.anchors: expected a value, found none',
  ],
  [
    { root: '/x', tenants: [{ moduleId: 'a', authors: { anchors: 'a', require: ['a b'] } }] },
    'tenants.0.authors.require: expected starts of media types, or *',
  ],
  [
    { root: '/x', tenants: [{ moduleId: 'a', searchFields: { 'a/b': ['c'] } }] },
    'tenants.0.searchFields: expected a JSON pointer, which starts with /, found {"a/b":["c"]}',
  ],
  [
    { root: '/x', tenants: [{ moduleId: 'a', searchFields: { 'a/b': '/c' } }] },
    'tenants.0.searchFields.a/b: expected Array, found "/c"',
  ],
  [
    {
      root: '/x',
      tenants: [{ moduleId: 'a', searchFields: { 'a/b': Array.from({ length: 17 }, (_, i) => `/${i}`) } }],
    },
    'tenants.0.searchFields: expected at most 16 pointers',
  ],
  [{ root: '/x', tenants: [{ moduleId: 'a', uid: 0 }] }, 'tenants.0.uid: expected an integer from 1'],
  [
    { root: '/x', tenants: [{ moduleId: 'a' }, { moduleId: 'a' }] },
    'tenants.1.moduleId: expected each tenant once, found a twice',
  ],
  [
    {
      root: '/x',
      tenants: [
        { moduleId: 'a', uid: 5 },
        { moduleId: 'b', uid: 5 },
      ],
    },
    'tenants.1.uid: expected a separate user, found 5, the user of a',
  ],
  [{ root: '/x', tenants: [{ moduleId: 'a', uid: 70_099 }] }, 'found 70099, the user of the front'],
  [
    { root: '/x', tenants: [{ moduleId: 'a', uid: 5, gid: 70_099 }] },
    "expected a group other than the front's",
  ],
  [{ root: '/x', run: `/run/${'x'.repeat(60)}` }, 'run: expected a path of at most 32 bytes'],
  [{ root: '/x', uids: { from: 9, to: 8 } }, 'uids.to: expected at least 9, found 8'],
  [{ root: '/x', tls: { certificate: 'c' } }, 'tls.key: expected a value, found none'],
])('the host rejects %j: %s', (value, message) => {
  expect(() => parse(value)).toThrow(message)
})

it('the host passes the fields of searches to the tenant as flags', () => {
  const searchFields = { 'application/json': ['/a', '/b/c'], 'x/y': ['/a'] }
  const config = parse({ root: '/x', tenants: [{ moduleId: 'a', searchFields }] })
  const [command] = tenantCommand('program', config, config.tenants[0]!, undefined)
  expect(command.filter((argument) => argument.startsWith('--search-field'))).toEqual([
    '--search-field=application/json:/a',
    '--search-field=application/json:/b/c',
    '--search-field=x/y:/a',
  ])
})

it('the host rejects invalid JSON and a missing file', async () => {
  expect(() => parseHostConfig('{', '/f')).toThrow('/f: expected JSON')
  await expect(loadHostConfig(join(dir, 'none.json'))).rejects.toMatchObject({ code: 'config' })
})

it('the host changes only the list of tenants', async () => {
  const file = join(dir, 'host.json')
  await writeFile(file, '{"run": "/run/x", "root": "r"}')
  await changeTenants(file, (tenants) => [...tenants, { moduleId: 'acme', uid: 70_100 }])
  expect(await readFile(file, 'utf8')).toBe(`{
  "run": "/run/x",
  "root": "r",
  "tenants": [
    {
      "moduleId": "acme",
      "uid": 70100
    }
  ]
}
`)
  expect((await stat(file)).mode & 0o777).toBe(0o600)
  const twice = changeTenants(file, (tenants) => [...tenants, { moduleId: 'acme' }])
  await expect(twice).rejects.toMatchObject({ code: 'config' })
  expect((await loadHostConfig(file)).tenants).toHaveLength(1)
  await expect(writeHostConfig(file, { root: '' })).rejects.toMatchObject({ code: 'config' })
})
