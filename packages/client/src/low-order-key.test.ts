/** Without a private key, anyone can sign a checkpoint for a public key of low order. The client rejects such keys everywhere. */
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { formatKeyId, keyId, parseNote } from '@service-fs/tlog/note'
import { afterEach, describe, expect, it } from 'vitest'
import { Connection } from './http.ts'
import {
  makeLedger,
  remove,
  serveDirectory,
  temporary,
  testRecords,
  testSigner,
  TEST_ORIGIN,
} from './testing.ts'
import { Trust } from './trust.ts'
import { verifyDirectory } from './verify-directory.ts'
import { verifyUrl } from './verify-url.ts'

const cleanups: (() => Promise<void>)[] = []
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup()
})

/**
 * The points of order 1 and 2. The signature with S = 0 and R = A verifies over any text with the point of order 1, and over half of all
 * texts with the point of order 2.
 */
const KEYS: [string, Buffer][] = [
  ['order 1', Buffer.from('01'.padEnd(64, '0'), 'hex')],
  ['order 2', Buffer.from(`ec${'ff'.repeat(30)}7f`, 'hex')],
]

const vkeyOf = (key: Buffer, name: string, type: number): string => {
  const id = formatKeyId(keyId(name, type, key))
  return `${name}+${id}+${Buffer.from([type, ...key]).toString('base64')}`
}

/** Makes a ledger whose checkpoint is signed without any private key. */
async function forged(key: Buffer): Promise<string> {
  const dir = await temporary()
  cleanups.push(() => remove(dir))
  await makeLedger(dir, { records: testRecords(20), tail: 'export' })
  const path = join(dir, 'checkpoint')
  const { text } = parseNote(await readFile(path, 'utf8'))
  const id = Buffer.alloc(4)
  id.writeUInt32BE(keyId(TEST_ORIGIN, 1, key))
  const signature = Buffer.concat([id, key, Buffer.alloc(32)]).toString('base64')
  await writeFile(path, `${text}\n— ${TEST_ORIGIN} ${signature}\n`)
  return dir
}

describe.each(KEYS)('a key of %s', (_, key) => {
  const vkey = vkeyOf(key, TEST_ORIGIN, 1)
  const why = 'expected an Ed25519 public key, found a low-order point'

  it('a low-order key is refused as --vkey', async () => {
    const dir = await forged(key)
    await expect(verifyDirectory(dir, { vkeys: [vkey] })).rejects.toMatchObject({
      code: 'usage',
      message: `--vkey ${vkey}: ${why}`,
    })
  })

  it('a low-order key is refused in a policy, for a log and for a witness', () => {
    const witness = vkeyOf(key, 'witness.example', 4)
    const policies: [string, number][] = [
      [`log ${vkey}\nquorum none\n`, 1],
      [`log ${testSigner().vkey}\nwitness w ${witness}\nquorum w\n`, 2],
    ]
    for (const [text, line] of policies) {
      expect(() => Trust.pinned({ policy: Buffer.from(text) })).toThrow(`line ${line}: ${why}`)
    }
  })

  it("a low-order key is refused in a directory's keys", async () => {
    const dir = await forged(key)
    await writeFile(join(dir, 'keys/ed25519.vkey'), `${vkey}\n`)
    const { ok, problems } = await verifyDirectory(dir)
    expect(ok).toBe(false)
    const [, expected, found] = /^expected (.*), found (.*)$/.exec(why) ?? []
    expect(problems).toContainEqual({ file: 'keys/ed25519.vkey', expected, found })
  })

  it('a low-order key is refused in a contract', async () => {
    const dir = await forged(key)
    const server = await serveDirectory(dir)
    const connection = new Connection(server.url)
    cleanups.push(
      () => server.close(),
      () => connection.close(),
    )
    await writeFile(join(dir, 'keys/ed25519.vkey'), `${vkey}\n`)
    await expect(verifyUrl(connection, {})).rejects.toThrow(why)
  })
})
