import { MemoryStorage } from '@service-fs/storage/memory'
import { openTestLedger } from '@service-fs/ledger/testing-native'
import { nativeCodec } from '@service-fs/native/native'
import { beforeAll, describe, expect, it } from 'vitest'
import type { Ledger } from '@service-fs/ledger/ledger'
import type { NewRecord } from '@service-fs/ledger/record'

import { readPage, type PageOptions } from './page.ts'
import { recordJson } from './record-json.ts'

const PAYLOADS: readonly (string | Uint8Array)[] = [
  '{"a":1,"b":[true,null,"ä€😀"]}',
  '12.5',
  '1e+30',
  '{"b":1,"a":2}',
  'plain text',
  '',
  '"\\u000f"',
  Uint8Array.of(0xff, 0x00),
  `"${'x'.repeat(3000)}"`,
  `"${'ä😀'.repeat(3000)}"`,
  new Uint8Array(6000).fill(0xff),
]

/** Returns records of all forms; one in ten has an identifier that JSON escapes. */
function recordsOf(count: number): NewRecord[] {
  return Array.from({ length: count }, (_, i) => {
    const payload = PAYLOADS[i % PAYLOADS.length] as string | Uint8Array
    return {
      id: i % 10 === 3 ? `ü"${i}` : `r${i}`,
      type: i % 10 === 4 ? 'text/plain; name="x"' : 'application/json',
      payload: typeof payload === 'string' ? nativeCodec.utf8Encode(payload) : payload,
      ...(i % 10 === 5 ? { fields: [['reference', 'x']] as const } : {}),
    }
  })
}

const text = (bytes: Uint8Array): string => Buffer.from(bytes).toString()
const eventOf = (one: { text: string; index: number }): string =>
  `id: ${one.index + 1}\nevent: record\ndata: ${one.text}\n\n`

describe('a page', () => {
  let files: Map<string, Uint8Array>
  let ledger: Ledger
  let texts: { text: string; index: number }[]

  beforeAll(async () => {
    const storage = new MemoryStorage()
    const made = await openTestLedger({ storage })
    await made.append(recordsOf(300))
    // The tree has this record as five entries.
    await made.append([{ id: 'split', type: 'text/plain', payload: new Uint8Array(250_000).fill(97) }])
    await made.append(recordsOf(620).slice(300))
    await made.close()
    files = storage.dump()
    ledger = await openTestLedger({ storage: new MemoryStorage({ files }) })
    texts = []
    for await (const record of ledger.records(0))
      texts.push({ text: recordJson(record, nativeCodec), index: record.index })
  })

  const read = (options: Partial<PageOptions>): ReturnType<typeof readPage> =>
    readPage({
      ledger,
      codec: nativeCodec,
      since: 0,
      to: ledger.size,
      limit: 1000,
      maxUnits: 1e9,
      form: 'lines',
      ...options,
    })

  it('has the texts of its records, from any index on', async () => {
    for (const since of [0, 255, 299, 300, 301, 304, 305, 511, 623, 624]) {
      for (const limit of [1, 31, 32, 300, 1000]) {
        const expected = texts.filter(({ index }) => index >= since).slice(0, limit)
        const lines = await read({ since, limit })
        expect(text(lines.bytes)).toBe(expected.map((one) => `${one.text}\n`).join(''))
        expect([lines.count, lines.last]).toEqual([expected.length, expected.at(-1)?.index])
        const list = await read({ since, limit, form: 'list' })
        expect(text(list.bytes)).toBe(expected.map((one) => one.text).join(','))
        const events = await read({ since, limit, form: 'events' })
        expect(text(events.bytes)).toBe(expected.map(eventOf).join(''))
      }
    }
  })

  it('has no record that begins at its end or later', async () => {
    for (const [since, to, end] of [
      [0, 256, 256],
      [250, 300, 300],
      [298, 301, 305],
      [301, 304, 304],
      [301, 306, 306],
    ] as const) {
      const page = await read({ since, to })
      const expected = texts.filter(({ index }) => index >= since && index < to)
      expect(text(page.bytes)).toBe(expected.map((one) => `${one.text}\n`).join(''))
      expect(page.end).toBe(Math.min(end, to))
    }
  })

  it('ends with the record that reaches its size in code units', async () => {
    for (const [form, since] of [
      ['lines', 0],
      ['lines', 280],
      ['list', 280],
    ] as const) {
      let units = 0
      const first = texts.findIndex(({ index }) => index >= since)
      for (const [count, one] of texts.slice(first, first + 40).entries()) {
        units += one.text.length
        for (const [maxUnits, expected] of [
          [units, count + 1],
          [units + 1, count + 2],
        ] as const) {
          const page = await read({ since, maxUnits, form })
          expect([maxUnits, page.count]).toEqual([maxUnits, expected])
        }
      }
    }
  })

  it('is readable up to a damaged entry, and rejected if it includes that entry', async () => {
    const path = 'tile/entries/000.b64'
    const damaged = Buffer.from(files.get(path) ?? [])
    const at = damaged.toString('latin1').split('\n').slice(0, 100).join('\n').length + 5
    damaged[at] = damaged[at] === 65 ? 66 : 65
    const copy = await openTestLedger({
      storage: new MemoryStorage({ files: new Map([...files, [path, damaged]]) }),
    })
    const page = await read({ ledger: copy, limit: 100 })
    expect(text(page.bytes)).toBe(
      texts
        .slice(0, 100)
        .map((one) => `${one.text}\n`)
        .join(''),
    )
    await expect(read({ ledger: copy, limit: 101 })).rejects.toMatchObject({ code: 'corrupt', index: 100 })
    const after = await read({ ledger: copy, since: 101, limit: 50 })
    expect(after.count).toBe(50)
    const maxUnits = texts.slice(0, 60).reduce((sum, one) => sum + one.text.length, 0)
    expect((await read({ ledger: copy, maxUnits })).count).toBe(60)
  })
})
