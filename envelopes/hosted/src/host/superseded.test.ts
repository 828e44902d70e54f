import { openTestLedger, TEST_ORIGIN, testSigner, textRecord } from '@service-fs/ledger/testing'
import { MemoryStorage } from '@service-fs/storage/memory'
import { bundlePath } from '@service-fs/storage/object-name'
import { beforeAll, expect, it } from 'vitest'
import { type Evidence, isSuperseded } from './superseded.ts'

const OLD = 'tail/000000000000'
const NEWER = 'tail/000000000512'
const SECTOR = 512

let before: Map<string, Uint8Array>
let after: Map<string, Uint8Array>
beforeAll(async () => {
  const { storage, ledger } = await begun()
  before = storage.dump()
  await ledger.close()
  after = storage.dump()
})

/** A ledger with 700 entries in a tail file that begins at the first. */
async function begun() {
  const storage = new MemoryStorage()
  const ledger = await openTestLedger({ storage })
  for (let i = 0; i < 7; i++)
    await ledger.append(Array.from({ length: 100 }, (_, k) => textRecord(`r${i}-${k}`, `text ${k}`)))
  return { storage, ledger }
}

const bytesAt = (files: Map<string, Uint8Array>, path: string): Uint8Array =>
  files.get(path) ?? new Uint8Array()
const behind = (bytes: Uint8Array, text: string): Uint8Array => Buffer.concat([bytes, Buffer.from(text)])

/** Checks `old` against the ledger's evidence with these changes. */
function ask(old: Uint8Array, changes: Partial<Evidence> = {}): Promise<boolean> {
  const evidence: Evidence = {
    newer: { start: 512, bytes: bytesAt(after, NEWER) },
    bundle: async (index) => after.get(bundlePath(index)),
    origin: async () => TEST_ORIGIN,
    vkey: async () => testSigner().vkey,
    ...changes,
  }
  return isSuperseded({ start: 0, bytes: old }, evidence)
}

it('the supervisor accepts a tail file whose entries are in bundles and in the newer one', async () => {
  expect([...before.keys()].filter((path) => path.startsWith('tail/'))).toEqual([OLD])
  expect([...after.keys()].filter((path) => path.startsWith('tail/'))).toEqual([NEWER])
  expect(await ask(bytesAt(before, OLD))).toBe(true)
})

it.each([
  [
    'a bundle is missing',
    { bundle: async (index: number) => (index === 1 ? undefined : after.get(bundlePath(index))) },
  ],
  ['a bundle is different', { bundle: async () => after.get(bundlePath(0)) }],
  ['the newer one begins where the old one begins', { newer: { start: 0, bytes: new Uint8Array() } }],
  ['the newer one begins within a bundle', { newer: { start: 500, bytes: new Uint8Array() } }],
  ['the newer one is malformed', { newer: { start: 512, bytes: new Uint8Array(100) } }],
])('the supervisor rejects a tail file when %s', async (_, changes) => {
  expect(await ask(bytesAt(before, OLD), changes)).toBe(false)
})

it('the supervisor rejects a tail file when the newer one lacks one of its entries or has a different one', async () => {
  const text = Buffer.from(bytesAt(after, NEWER)).toString('latin1')
  const lines = text.split('\n')
  // After the edge come a commit without entries, of seven lines, and the commit with the entries past the boundary.
  const first = lines.indexOf('') + 8
  expect(lines[first]).toMatch(/^c2VydmljZS1mcy9lbnRyeS92MQ/)
  const shorter = [...lines.slice(0, first + 3), ...lines.slice(first + 4)].join('\n')
  const swapped = [...lines]
  ;[swapped[first], swapped[first + 1]] = [swapped[first + 1] ?? '', swapped[first] ?? '']
  for (const bytes of [shorter, swapped.join('\n')])
    expect(
      await ask(bytesAt(before, OLD), { newer: { start: 512, bytes: Buffer.from(bytes, 'latin1') } }),
    ).toBe(false)
})

it('the supervisor accepts a torn commit at the end, even if it looks whole', async () => {
  const old = bytesAt(before, OLD)
  expect(await ask(behind(old, 'QUJD\n'.repeat(30)))).toBe(true)
  expect(await ask(behind(old, '\0'.repeat(700)))).toBe(true)
  const fill = SECTOR - ((old.length + 5) % SECTOR) + SECTOR
  const looksWhole = behind(old, `QUJD\n${'\n'.repeat(fill)}x\n1\nx\n\n— x x\n\n`)
  expect(await ask(looksWhole)).toBe(true)
  expect(await ask(looksWhole, { vkey: async () => undefined })).toBe(false)
})

it('the supervisor rejects a tail file to which a whole commit was appended later, and a corrupt one', async () => {
  const { storage, ledger } = await begun()
  await ledger.append([textRecord('later', 'text')])
  const grown = bytesAt(storage.dump(), OLD)
  expect(grown.length).toBeGreaterThan(bytesAt(before, OLD).length)
  expect(await ask(grown)).toBe(false)
  expect(await ask(behind(bytesAt(before, OLD), 'QUJD\n\nx\n1\nx\n\n— x x\n\n'))).toBe(false)
})
