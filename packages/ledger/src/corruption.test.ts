import { createHash } from 'node:crypto'
import { MemoryStorage } from '@service-fs/storage/memory'
import { pureCodec } from '@service-fs/tlog/codec'
import { describe, expect, it } from 'vitest'
import { LedgerError } from './errors.ts'
import type { Ledger } from './ledger.ts'
import { openTestLedger, TestRuntime, textRecord } from './testing-native.ts'

/** The files of a ledger of 600 entries that was stopped cleanly: two sealed bundles and a tail. */
async function ledgerFiles(): Promise<Map<string, Uint8Array>> {
  const storage = new MemoryStorage()
  const ledger = await openTestLedger({ storage })
  for (let i = 0; i < 600; i += 30)
    await ledger.append(Array.from({ length: 30 }, (_, j) => textRecord(`r${i + j}`, 'some text')))
  await ledger.close()
  return storage.dump()
}

function changed(
  files: ReadonlyMap<string, Uint8Array>,
  path: string,
  at: number,
  mask: number,
): Map<string, Uint8Array> {
  const bytes = Buffer.from(files.get(path) ?? [])
  bytes[at] = (bytes[at] ?? 0) ^ mask
  return new Map([...files, [path, bytes]])
}

function digest(files: ReadonlyMap<string, Uint8Array>): string {
  const hash = createHash('sha256')
  for (const [path, bytes] of files) hash.update(`${path} ${bytes.length}\n`).update(bytes)
  return hash.digest('hex')
}

/** Opens the ledger and reads all of it. */
async function openAndRead(files: ReadonlyMap<string, Uint8Array>): Promise<void> {
  const ledger: Ledger = await openTestLedger({ storage: new MemoryStorage({ files }) })
  try {
    for (let bundle = 0; bundle * 256 < ledger.size; bundle++)
      await ledger.bundle(bundle, Math.min(256, ledger.size - bundle * 256))
  } finally {
    await ledger.close().catch(() => undefined)
  }
}

async function reason(files: ReadonlyMap<string, Uint8Array>): Promise<string> {
  const error = await openAndRead(files).then(
    () => undefined,
    (e: unknown) => e,
  )
  if (!(error instanceof LedgerError) || error.code !== 'corrupt')
    throw new Error('expected it to be refused as corrupt', { cause: error })
  return error.message
}

describe('one changed byte', () => {
  it.each(['checkpoint', 'origin', 'keys/ed25519.vkey', 'tail/000000000512'])(
    'of %s is rejected on opening, and changes nothing',
    async (path) => {
      const files = await ledgerFiles()
      const length = files.get(path)?.length ?? 0
      expect(length).toBeGreaterThan(0)
      const step = Math.max(1, Math.floor(length / 150))
      for (let at = 0; at < length; at += step) {
        const storage = new MemoryStorage({ files: changed(files, path, at, 1 << (at % 8)) })
        const before = storage.dump()
        const error = await openTestLedger({ storage }).then(
          () => undefined,
          (e: unknown) => e,
        )
        expect(error, `byte ${at} of ${path}`).toMatchObject({ code: 'corrupt' })
        expect(String(error)).toContain(path.startsWith('tail/') ? 'tail' : path)
        expect(digest(storage.dump())).toBe(digest(before))
      }
    },
  )

  it.each(['tile/0/000.b64', 'tile/0/001.b64', 'tile/entries/000.b64', 'tile/entries/001.b64'])(
    'of %s is detected by the read',
    async (path) => {
      const files = await ledgerFiles()
      const length = files.get(path)?.length ?? 0
      const step = Math.max(1, Math.floor(length / 60))
      for (let at = 0; at < length; at += step) {
        const said = await reason(changed(files, path, at, 1 << (at % 8)))
        // When several hash tiles are read for one hash of the tree, the error names them all, not the corrupt one.
        expect(said, `byte ${at}`).toContain(path.startsWith('tile/0') ? 'tile/0' : path)
      }
    },
  )

  it('is not mistaken for a torn commit when the checkpoint covers it', async () => {
    const files = await ledgerFiles()
    const tail = files.get('tail/000000000512') ?? new Uint8Array()
    for (let cut = 1; cut < 200; cut++) {
      const storage = new MemoryStorage({
        files: new Map([...files, ['tail/000000000512', tail.subarray(0, tail.length - cut)]]),
      })
      await expect(openTestLedger({ storage })).rejects.toMatchObject({ code: 'corrupt' })
    }
  })
})

describe('a missing file', () => {
  it.each(['checkpoint', 'origin', 'keys/ed25519.vkey', 'tail/000000000512'])(
    '%s is rejected on opening',
    async (path) => {
      const files = await ledgerFiles()
      files.delete(path)
      await expect(openTestLedger({ storage: new MemoryStorage({ files }) })).rejects.toMatchObject({
        code: 'corrupt',
        message: expect.stringContaining(path.split('/')[0] ?? ''),
      })
    },
  )
})

function outOfMemory(): never {
  throw new RangeError('out of memory')
}

it('an opening does not call a ledger corrupt when there is no memory to read it', async () => {
  const storage = new MemoryStorage()
  const ledger = await openTestLedger({ storage })
  await ledger.append([textRecord('a', 'text')])
  await ledger.close()
  const runtime = Object.assign(new TestRuntime(), { codec: { ...pureCodec, utf8Decode: outOfMemory } })
  const again = openTestLedger({ storage: new MemoryStorage({ files: storage.dump() }), runtime })
  await expect(again).rejects.toBeInstanceOf(RangeError)
})
