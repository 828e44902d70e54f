import { cp, mkdtemp, readdir, readFile, rm, stat, truncate, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { nativeCrypto } from '@service-fs/native/native'
import type { Head } from '@service-fs/ledger/head'
import { Random } from '@service-fs/storage/random'
import { EMPTY_ROOT } from '@service-fs/tlog/hash'
import { formatSignerKey, signerFromKey, verifierFromVkey } from '@service-fs/tlog/keys'
import { formatCheckpointText } from '@service-fs/tlog/checkpoint'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { MarkFile } from './mark-file.ts'
import { openTenant, type Tenant, type TenantOptions } from './tenant.ts'

let root: string
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'mark-'))
})
afterEach(() => rm(root, { recursive: true, force: true }))

const ORIGIN = 'example.org/ledger/acme'
const key = { name: ORIGIN, type: 1, seed: new Uint8Array(32).fill(5) }
const signer = signerFromKey(formatSignerKey(key, nativeCrypto), nativeCrypto)

async function headOf(size: number, by = signer, origin = ORIGIN): Promise<Head> {
  const rootHash = size === 0 ? EMPTY_ROOT : Buffer.alloc(32, size).toString('base64')
  const text = formatCheckpointText({ origin, size, root: rootHash, extensions: [] })
  return { size, root: rootHash, note: `${text}\n${await by.sign(text)}` }
}

const open = (): MarkFile =>
  new MarkFile({
    key: join(root, 'k'),
    origin: ORIGIN,
    verifiers: [verifierFromVkey(signer.vkey, nativeCrypto)],
    accept: (size) => `accept ${size}`,
  })
const path = (): string => join(root, 'k.used')

const sizeNoted = async (): Promise<number | undefined> => (await open().read())?.size

describe('the mark file', () => {
  it('holds the latest mark as a signed checkpoint that cat can show', async () => {
    const mark = open()
    await mark.begin(await headOf(3))
    expect(await sizeNoted()).toBe(3)
    for (const next of [4, 9, 20]) {
      await mark.note(await headOf(next))
      expect(await open().read()).toEqual({ size: next, root: (await headOf(next)).root })
    }
    expect((await stat(path())).mode & 0o777).toBe(0o600)
    const bytes = await readFile(path())
    expect(bytes).toHaveLength(8192)
    expect(bytes.subarray(4096).toString().replace(/\n+$/, '\n')).toBe((await headOf(20)).note)
    await mark.close()
  })

  it('keeps the previous mark when the newest write is torn anywhere', async () => {
    const mark = open()
    await mark.begin(await headOf(3))
    await mark.note(await headOf(4))
    const before = await readFile(path())
    await mark.note(await headOf(5))
    await mark.close()
    const after = await readFile(path())
    const { length } = Buffer.from((await headOf(5)).note)
    for (let cut = 0; cut <= length; cut++) {
      const torn = Buffer.from(before)
      after.copy(torn, 0, 0, cut)
      await writeFile(path(), torn)
      expect(await sizeNoted(), `cut at ${cut}`).toBe(torn.equals(after) ? 5 : 4)
    }
  })

  it('returns no mark when the file is empty, as earlier versions left it, or missing', async () => {
    expect(await sizeNoted()).toBeUndefined()
    await writeFile(path(), '')
    expect(await sizeNoted()).toBeUndefined()
  })

  it.each(['', 'x'.repeat(8193)])('refuses a file that holds no mark: %#', async (more) => {
    await writeFile(path(), `something else\n${more}`)
    await expect(sizeNoted()).rejects.toThrow(`${path()}: expected a signed checkpoint of ${ORIGIN}`)
  })

  it('rejects the mark of another ledger or of another key', async () => {
    const other = signerFromKey(formatSignerKey({ name: ORIGIN, type: 1, seed: new Uint8Array(32).fill(6) }))
    for (const head of [await headOf(7, other), await headOf(7, signer, 'example.org/other')]) {
      const mark = open()
      await mark.begin(head)
      await mark.close()
      await expect(sizeNoted()).rejects.toThrow('with none that verifies')
    }
  })
})

const SEEDS = 6

/** A ledger whose process was killed, and the entries that it had acknowledged. */
interface Killed {
  /** Bytes of the tail file after each append. */
  lengths: number[]
  size: number
  /** An older `checkpoint` file, which a crash within half a second after a commit leaves. */
  checkpoint: Uint8Array
}

async function appendTo(tenant: Tenant, from: number, count: number): Promise<number[]> {
  const lengths: number[] = []
  for (let i = from; i < from + count; i++) {
    const payload = Buffer.from(`record ${i} `.repeat(1 + ((i * 7) % 90)))
    await tenant.ledger.append([{ id: `r${i}`, type: 'text/plain', payload }])
    lengths.push((await stat(await tailOf(root))).size)
  }
  return lengths
}

async function tailOf(at: string): Promise<string> {
  const files = await readdir(join(at, 'acme/tail'))
  return join(at, 'acme/tail', files.sort().at(-1) ?? '')
}

/** Appends, and copies to `killed` the files that a `kill -9` right after the last response would leave. */
async function kill(): Promise<Killed> {
  const first = await openTenant({ moduleId: 'acme', root })
  await appendTo(first, 0, 3)
  await first.close()
  const checkpoint = await readFile(join(root, 'acme/checkpoint'))
  const tenant = await openTenant({ moduleId: 'acme', root })
  const lengths = await appendTo(tenant, 3, 5)
  const { size } = tenant.ledger
  const marked = async (): Promise<boolean> =>
    (await readFile(join(root, '.secret/acme/ed25519.key.used'), 'utf8')).includes(`\n${size}\n`)
  await expect.poll(marked).toBe(true)
  // The tenant may be publishing a checkpoint, whose file leaves tmp/ at any moment.
  await cp(root, `${root}-killed`, { recursive: true, filter: (name) => basename(name) !== 'tmp' })
  await tenant.close()
  await writeFile(join(`${root}-killed`, 'acme/checkpoint'), checkpoint)
  return { lengths, size, checkpoint }
}

type Warned = [message: string, ledger: unknown, reason: unknown]

function warnInto(warned: Warned[]): NonNullable<TenantOptions['warn']> {
  return (message, fields) => void warned.push([message, fields['ledger'], fields['reason']])
}

/** Returns the content of each file of the ledgers and of the keys, without the working files. */
async function filesOf(dir: string): Promise<Map<string, string>> {
  const files = new Map<string, string>()
  for (const entry of await readdir(dir, { recursive: true, withFileTypes: true })) {
    const file = join(entry.parentPath, entry.name)
    if (!entry.isFile() || /\/(?:lock$|(?:tmp|cache)\/|audit\/|audit-)/.test(file)) continue
    files.set(file, (await readFile(file)).toString('base64'))
  }
  return files
}

const from = (): string => `${root}-killed`
const at = (): string => `${root}-cut`

describe('a tail that lost acknowledged entries', () => {
  let killed: Killed
  beforeEach(async () => {
    killed = await kill()
    await cp(from(), at(), { recursive: true })
  })
  afterEach(async () => {
    await rm(from(), { recursive: true, force: true })
    await rm(at(), { recursive: true, force: true })
  })

  it('opens a ledger in which no entry is missing', async () => {
    const tenant = await openTenant({ moduleId: 'acme', root: at() })
    expect(tenant.ledger.size).toBe(killed.size)
    await tenant.close()
  })

  const damages: [string, (random: Random) => Promise<void>][] = [
    [
      'cut within the last commit',
      async (random) => {
        const [before = 0, after = 0] = killed.lengths.slice(-2)
        await truncate(await tailOf(at()), before + 1 + random.below(after - before - 1))
      },
    ],
    ['without its last commit', async () => truncate(await tailOf(at()), killed.lengths.at(-2))],
    [
      'without several commits',
      async (random) => truncate(await tailOf(at()), killed.lengths.at(-2 - random.below(3))),
    ],
    [
      'with zeros in its last sector',
      async (random) => {
        const bytes = await readFile(await tailOf(at()))
        const end = killed.lengths.at(-1) ?? 0
        bytes.fill(0, end - 1 - random.below(Math.min(511, end - (killed.lengths.at(-2) ?? 0) - 1)))
        await writeFile(await tailOf(at()), bytes)
      },
    ],
  ]
  it.each(damages)(
    'opens a ledger that lost entries read-only, says so, and changes nothing: %s',
    async (_, damage) => {
      for (let seed = 0; seed < SEEDS; seed++) {
        await rm(at(), { recursive: true })
        await cp(from(), at(), { recursive: true })
        await damage(new Random(seed))
        const before = await filesOf(at())
        const warned: Warned[] = []
        const tenant = await openTenant({ moduleId: 'acme', root: at(), warn: warnInto(warned) })
        expect(warned[0], `seed ${seed}`).toEqual([
          'the ledger is shorter than what was acknowledged',
          'main',
          expect.stringMatching(
            new RegExp(
              `ed25519.key.used: expected a ledger of at least ${killed.size} entries .*; found \\d+ entries .* ` +
                `service-fs serve --module-id acme --root ${at()} --accept-shorter-tree \\d+$`,
            ),
          ),
        ])
        const { size } = tenant.ledger
        expect(size).toBeLessThan(killed.size)
        const reason = `the ledger was opened read-only; ${killed.size} entries were acknowledged, but only ${size} were found`
        expect(tenant.ledger.status()).toMatchObject({ accepting: false, code: 'read-only', reason })
        await expect(appendTo(tenant, 100, 1)).rejects.toMatchObject({ code: 'read-only' })
        expect((await tenant.ledger.recordById('r2')).id).toBe('r2')
        await tenant.close()
        expect(await filesOf(at())).toEqual(before)
      }
    },
  )

  it('opens a shorter ledger once when an operator accepts its size, and logs that', async () => {
    await truncate(await tailOf(at()), killed.lengths.at(-2))
    const size = killed.size - 1
    const wrong = { main: size - 1, audit: size }
    const refusing = await openTenant({ moduleId: 'acme', root: at(), acceptSizes: wrong })
    await expect(appendTo(refusing, 100, 1)).rejects.toMatchObject({ code: 'read-only' })
    await refusing.close()
    const warnings: unknown[] = []
    const accepting = await openTenant({
      moduleId: 'acme',
      root: at(),
      acceptSizes: { main: size },
      warn: (message, fields) => warnings.push([message, fields['ledger'], fields['size']]),
    })
    expect(warnings).toEqual([['a tree was accepted', 'main', size]])
    expect(accepting.ledger.size).toBe(size)
    await appendTo(accepting, 100, 1).catch(() => undefined)
    await accepting.close()
    const again = await openTenant({ moduleId: 'acme', root: at() })
    expect(again.ledger.size).toBe(killed.size)
    await again.close()
  })

  it('opens a shorter ledger read-only on request, and does not report missing records as absent', async () => {
    await truncate(await tailOf(at()), killed.lengths.at(-2))
    const tenant = await openTenant({ moduleId: 'acme', root: at(), readOnly: true })
    expect(tenant.ledger.size).toBe(killed.size - 1)
    expect(tenant.ledger.status().reason).toContain(
      `${killed.size} entries were acknowledged, but only ${killed.size - 1} were found`,
    )
    expect((await tenant.ledger.recordById('r5')).id).toBe('r5')
    await expect(tenant.ledger.recordById('r7')).rejects.toMatchObject({ code: 'read-only' })
    await tenant.close()
  })

  it('does not open a ledger that has another tree of the acknowledged size', async () => {
    // On another machine, an operator accepted the shorter tree, and other records followed. Then these files were restored beside
    // the first key.
    const elsewhere = `${root}-other`
    await cp(at(), elsewhere, { recursive: true })
    try {
      await truncate(
        join(elsewhere, 'acme/tail', (await tailOf(at())).split('/').at(-1) ?? ''),
        killed.lengths.at(-2),
      )
      const other = await openTenant({
        moduleId: 'acme',
        root: elsewhere,
        acceptSizes: { main: killed.size - 1 },
      })
      for (const id of ['x', 'y'])
        await other.ledger.append([{ id, type: 'text/plain', payload: Buffer.from(id) }])
      await other.close()
      await rm(join(at(), 'acme'), { recursive: true })
      await cp(join(elsewhere, 'acme'), join(at(), 'acme'), { recursive: true })
      await expect(openTenant({ moduleId: 'acme', root: at() })).rejects.toMatchObject({
        code: 'corrupt',
        message: expect.stringContaining(`at size ${killed.size}, which was acknowledged; the ledger of`),
      })
    } finally {
      await rm(elsewhere, { recursive: true, force: true })
    }
  })
})

it('a daemon keeps a separate mark for the audit sub-ledger', async () => {
  const audit = join(root, 'acme/audit')
  const read = async (id: string): Promise<Tenant> => {
    const tenant = await openTenant({ moduleId: 'acme', root })
    await tenant.audit.append([{ id, type: 'text/plain', payload: Buffer.from(id) }])
    return tenant
  }
  await (await read('a')).close()
  await cp(audit, `${root}-before`, { recursive: true })
  try {
    await (await read('b')).close()
    await rm(audit, { recursive: true })
    await cp(`${root}-before`, audit, { recursive: true })
    const warned: Warned[] = []
    const tenant = await openTenant({ moduleId: 'acme', root, warn: warnInto(warned) })
    expect(warned[0]).toEqual([
      'the ledger is shorter than what was acknowledged',
      'audit',
      expect.stringMatching(/audit-ed25519.key.used: .*found 1 entries.* --accept-shorter-audit-tree 1$/),
    ])
    const refused = tenant.audit.append([{ id: 'c', type: 'text/plain', payload: Buffer.from('c') }])
    await expect(refused).rejects.toMatchObject({ code: 'read-only' })
    await tenant.close()
    await (await openTenant({ moduleId: 'acme', root, acceptSizes: { audit: 1 } })).close()
    await (await openTenant({ moduleId: 'acme', root })).close()
  } finally {
    await rm(`${root}-before`, { recursive: true, force: true })
  }
})
