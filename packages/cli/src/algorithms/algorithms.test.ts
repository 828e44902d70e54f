// Tests the report on the algorithms of a ledger. The tests in test/docs compare the standing of algorithms with the documentation.
import { readFile, writeFile } from 'node:fs/promises'
import { makeLedger, serveDirectory, testRecords, testSigner } from '@service-fs/client/testing'
import { makeBoundLedger } from '@service-fs/client/testing-second-tree'
import type { RecordContent } from '@service-fs/format/entry'
import { describe, expect, it } from 'vitest'
import { cli } from '../testing.ts'
import { at, done, grownTo, useDirectory } from '../testing-copies.ts'
import { AS_OF } from './standing.ts'
import type { AlgorithmReport } from './uses.ts'

useDirectory()

const AUDIT = 'example.org/ledger/test/audit'

/** Returns records, the third of which takes two entries. */
const records = (count: number): RecordContent[] =>
  testRecords(count).map((record, i) =>
    i === 2 ? { ...record, payload: Buffer.alloc(70_000, 'x') } : record,
  )

async function report(...args: string[]): Promise<AlgorithmReport & { as_of: string }> {
  return JSON.parse((await done('algorithms', ...args, '--json')).text()) as AlgorithmReport & {
    as_of: string
  }
}

const usesIn = ({ algorithms }: AlgorithmReport): unknown[] =>
  algorithms.map(({ use, name, since, covers, standing }) => [use, name, since, covers, standing])

describe('algorithms', () => {
  it('algorithms reports trees, signatures and split records with their first entries, from files and over HTTP', async () => {
    await makeBoundLedger(at('acme'), { algorithm: 'sha3-256', before: 300, after: 30, records })
    await makeLedger(at('acme/audit'), { records: testRecords(9), origin: AUDIT })
    const server = await serveDirectory(at('acme'))
    try {
      for (const place of [[at('acme')], [server.url], ['--url', server.url, '--vkey', testSigner().vkey]]) {
        const found = await report(...place)
        expect(found).toMatchObject({ as_of: AS_OF, origin: 'example.org/ledger/test', size: 332 })
        expect(usesIn(found)).toEqual([
          ['tree', 'SHA-256', 0, undefined, 'current'],
          ['checkpoints', 'Ed25519', 0, undefined, 'until 2035'],
          ['split records', 'SHA-256', 2, undefined, 'current'],
          ['second tree', 'SHA3-256', 301, 301, 'current'],
          ['second tree checkpoints', 'Ed25519', 301, 301, 'until 2035'],
        ])
        expect(found.audit).toMatchObject({ origin: AUDIT, size: 9 })
        expect(found.audit && usesIn(found.audit)).toEqual([
          ['tree', 'SHA-256', 0, undefined, 'current'],
          ['checkpoints', 'Ed25519', 0, undefined, 'until 2035'],
        ])
      }
    } finally {
      await server.close()
    }
    const text = (await done('algorithms', at('acme'), '--no-audit')).text()
    expect(text).toContain(
      'second tree: SHA3-256 (FIPS 202), since entry 301, which binds the first 301 entries: current\n',
    )
    expect(text).toContain(`standing as of ${AS_OF}: `)
    expect(text).not.toContain(AUDIT)
  })

  it('algorithms rejects an entry that the signed tree does not prove', async () => {
    const dir = await grownTo(300)
    const bundle = `${dir}/tile/entries/000.b64`
    const lines = (await readFile(bundle, 'utf8')).split('\n')
    await writeFile(bundle, [lines[1], lines[0], ...lines.slice(2)].join('\n'))
    const io = await cli('algorithms', dir)
    expect([io.code, io.text()]).toEqual([1, ''])
    expect(io.errors.join()).toContain('entry 0: expected leaf hash ')
    const other = await cli('algorithms', await grownTo(9), '--vkey', testSigner(undefined, 9).vkey)
    expect(other.code).toBe(1)
  })

  it('algorithms reports an empty ledger', async () => {
    await makeLedger(at('empty'), { records: [] })
    expect(usesIn(await report(at('empty')))).toHaveLength(2)
  })
})
