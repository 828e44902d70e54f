// An agent appends over MCP and another reads; an auditor examines the reads. All use tokens, and the auditor uses HTTP and the
// commands.
import { cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { Client } from '@modelcontextprotocol/sdk/client/index.js'
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { serviceFsCommand, startDaemon, type Daemon } from '../support/daemon.ts'
import type { Finished } from '../support/process.ts'

const ROLES = { agent: 'append', reader: 'read', auditor: 'examine' } as const
type Who = keyof typeof ROLES

let dir = ''
let daemon: Daemon
const tokens = new Map<Who, string>()
const clients: Client[] = []

beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'examine-'))
  const access = join(dir, 'access.json')
  await writeFile(access, JSON.stringify({ access: { tokens: join(dir, 'tokens.json') } }), { mode: 0o600 })
  for (const [name, roles] of Object.entries(ROLES)) {
    const whose = ['--name', name, '--tenant', 'test', '--roles', roles]
    const { code, stdout, stderr } = await serviceFsCommand(['token', 'add', '--config', access, ...whose])
    expect(code, stderr).toBe(0)
    tokens.set(name as Who, stdout.trim())
  }
  daemon = await startDaemon({ args: ['--access', access] })
})
afterAll(async () => {
  for (const client of clients) await client.close()
  await daemon.dispose()
  await rm(dir, { recursive: true, force: true })
})

async function connect(who: Who): Promise<Client> {
  const client = new Client({ name: who, version: '1.0.0' })
  const headers = { authorization: `Bearer ${tokens.get(who)}` }
  await client.connect(
    new StreamableHTTPClientTransport(new URL(`${daemon.prefix}mcp`), { requestInit: { headers } }),
  )
  clients.push(client)
  return client
}

async function call(client: Client, name: string, args: Record<string, unknown>): Promise<any> {
  const { content } = (await client.callTool({ name, arguments: args })) as { content: { text: string }[] }
  return JSON.parse(content[0]?.text ?? '')
}

function audit(who: Who, ...args: string[]): Promise<Finished> {
  const env = { FS_TOKEN: tokens.get(who) ?? '', FS_URL: daemon.prefix }
  return serviceFsCommand(['audit', ...args], { env })
}

const vkeyOfAudit = async (): Promise<string> =>
  (await readFile(join(daemon.dir, 'audit/keys/ed25519.vkey'), 'utf8')).trim()

it('the MCP server permits each agent what its token allows, and `audit ls` shows the auditor which subject read which records', async () => {
  const agent = await connect('agent')
  for (const id of ['a', 'b', 'c'])
    expect(await call(agent, 'ledger.append', { payload_id: id, payload: { id } })).toMatchObject({
      duplicate: false,
    })
  expect(await call(agent, 'ledger.record', { payload_id: 'a' })).toMatchObject({ code: 'forbidden' })

  const reader = await connect('reader')
  expect(await call(reader, 'ledger.record', { payload_id: 'b' })).toMatchObject({ cursor: 2 })
  expect(await call(reader, 'ledger.entries', { since: 2 })).toMatchObject({ next_cursor: 3 })
  expect(await call(reader, 'ledger.entries', { audit: true })).toMatchObject({ code: 'forbidden' })
  const auditor = await connect('auditor')
  expect((await call(auditor, 'ledger.entries', { audit: true })).entries).toHaveLength(2)

  const refused = await audit('reader', 'ls', '--json')
  expect([refused.code, JSON.parse(refused.stderr)]).toMatchObject([
    3,
    { error: { code: 'forbidden', status: 403 } },
  ])
  const listed = await audit('auditor', 'ls', '--subject', 'token:reader', '--vkey', await vkeyOfAudit())
  expect([listed.code, listed.stderr]).toEqual([0, ''])
  const time = '\\d{4}-\\d\\d-\\d\\dT[\\d:.]{12}Z'
  expect(listed.stdout).toMatch(
    new RegExp(
      `^ +0 ${time} token:reader GET /v1/records/{payload_id} cursor=2 payload_id=b via=mcp \\(1 entries, \\d+ bytes\\)\n` +
        ` +1 ${time} token:reader GET /v1/entries limit=100 next_cursor=3 since=2 via=mcp \\(1 entries, \\d+ bytes\\)\n$`,
    ),
  )
  const showed = await audit('auditor', 'ls', '--payload-id', 'c', '--to', '2')
  expect(showed.stdout.split('\n')).toHaveLength(2)
  const those = await audit('auditor', 'ls', '--subject', 'token:auditor', '--route', '/audit', '--json')
  expect(those.stdout.split('\n').length).toBeGreaterThan(5)
})

it('`ls` lists the sub-ledger and ends, although each read adds an entry', async () => {
  const env = { FS_TOKEN: tokens.get('auditor') ?? '' }
  const { code, stdout } = await serviceFsCommand(['ls', '--url', `${daemon.prefix}audit`], { env })
  expect([code, stdout.split('\n').length > 10]).toEqual([0, true])
})

it('`audit prove` proves a read to a third party that has neither the ledger nor a token', async () => {
  const [proof, read] = [join(dir, 'read.tlog-proof'), join(dir, 'read.json')]
  const made = await audit('auditor', 'prove', '--index', '0', '--out', proof, '--record', read)
  expect([made.code, made.stderr]).toEqual([0, ''])
  expect(JSON.parse(await readFile(read, 'utf8'))).toMatchObject({ subject: 'token:reader', via: 'mcp' })
  const check = async (): Promise<Finished> =>
    serviceFsCommand(['verify-proof', proof, '--record', read, '--vkey', await vkeyOfAudit()])
  expect((await check()).stdout).toMatch(/^true: "read-/)
  await writeFile(read, (await readFile(read, 'utf8')).replace('token:reader', 'token:nobody'))
  expect((await check()).code).toBe(1)
  expect((await audit('auditor', 'prove', '--index', '999')).code).toBe(3)
})

it('`audit verify` verifies the sub-ledger, and detects one that was rolled back', async () => {
  const [early, later] = [join(dir, 'early'), join(dir, 'later')]
  const headers = { authorization: `Bearer ${tokens.get('auditor')}` }
  const keep = async (file: string): Promise<void> =>
    writeFile(file, await (await daemon.fetch('/audit/checkpoint', { headers })).text())
  await keep(early)
  const copy = join(dir, 'copy')
  // The daemon may be publishing a checkpoint, whose file leaves tmp/ at any moment.
  await cp(daemon.dir, copy, { recursive: true, filter: (path) => basename(path) !== 'tmp' })
  for (let i = 0; i < 3; i++) await (await daemon.fetch('/v1/entries/1', { headers })).arrayBuffer()
  await keep(later)
  const vkey = ['--vkey', await vkeyOfAudit()]
  for (const [file, place] of [
    [early, undefined],
    [later, undefined],
    [early, daemon.dir],
    [early, copy],
  ] as const) {
    const places = place === undefined ? [] : [place]
    const { code, stdout, stderr } = await audit(
      'auditor',
      'verify',
      ...places,
      '--checkpoint',
      file,
      ...vkey,
    )
    expect([code, stderr]).toEqual([0, ''])
    expect(stdout).toMatch(/^true .*\/test\/audit: /)
    expect(stdout).toContain('key pinned by --vkey')
  }
  const back = await audit('auditor', 'verify', copy, '--checkpoint', later, ...vkey)
  expect([back.code, back.stdout]).toEqual([1, expect.stringMatching(/^FALSE/)])
  expect(back.stderr).toContain('entries of the earlier checkpoint, found')
})

it('`examine` gives the auditor a pack of selected records, and the server records each read for it', async () => {
  const pack = join(dir, 'pack')
  const vkey = (await readFile(join(daemon.dir, 'keys/ed25519.vkey'), 'utf8')).trim()
  const make = (who: Who): Promise<Finished> => {
    const env = { FS_TOKEN: tokens.get(who) ?? '', FS_URL: daemon.prefix }
    return serviceFsCommand(['examine', '--prefix', 'b', '--vkey', vkey, '-o', pack, '--json'], { env })
  }
  const refused = await make('agent')
  expect([refused.code, JSON.parse(refused.stderr)]).toMatchObject([3, { error: { status: 403 } }])
  const made = await make('auditor')
  expect([made.code, made.stderr]).toEqual([0, ''])
  expect(JSON.parse(made.stdout)).toMatchObject({ records: 1, recordsRead: 3, pinned: true })
  const [row] = JSON.parse(await readFile(join(pack, 'index.json'), 'utf8'))
  expect(JSON.parse(await readFile(join(pack, row.file), 'utf8'))).toEqual({ id: 'b' })
  const reads = await audit('auditor', 'ls', '--subject', 'token:auditor', '--route', '/tile', '--json')
  expect(reads.stdout).toMatch(/"route":"\/tile\/\{path\.\.\.\}"/)
  expect(reads.stdout).toContain('entries')
  const ofRecord = await audit('auditor', 'ls', '--payload-id', 'b', '--route', '/tile', '--json')
  expect(ofRecord.stdout.trim().split('\n')).toHaveLength(1)
})
