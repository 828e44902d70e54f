/** Makes ledgers and exports for tests. Each test has a separate directory. */
import { rename } from 'node:fs/promises'
import { join } from 'node:path'
import {
  filesBelow,
  makeLedger,
  remove,
  temporary,
  testRecords,
  type TestLedger,
} from '@service-fs/client/testing'
import { afterEach, beforeEach, expect } from 'vitest'
import { cli, type TestIo } from './testing.ts'

const AUDIT = 'example.org/ledger/test/audit'
/** The directory of the running test. */
export let dir = ''

/** Gives each test of the calling file a directory. One process runs many files, so an import alone would serve only the first. */
export function useDirectory(): void {
  beforeEach(async () => {
    dir = await temporary()
  })
  afterEach(() => remove(dir))
}

/** Runs a command that must succeed. */
export async function done(...args: string[]): Promise<TestIo> {
  const io = await cli(...args)
  expect(io.errors, args.join(' ')).toEqual([])
  expect(io.code, args.join(' ')).toBe(0)
  return io
}

export const at = (...names: string[]): string => join(dir, ...names)

/** Makes a ledger in `acme`, with an audit sub-ledger of another size. */
export async function makeAcme(ledger: TestLedger, auditSize = 30): Promise<string> {
  await makeLedger(at('acme'), ledger)
  await makeLedger(at('acme/audit'), { ...ledger, records: testRecords(auditSize), origin: AUDIT })
  return at('acme')
}

/** Makes the ledger `acme` again with the first `size` records, and renames it. Returns its path, `acme-<size>-<auditSize>`. */
export async function grownTo(size: number, auditSize = 30): Promise<string> {
  const acme = await makeAcme({ records: testRecords(size) }, auditSize)
  const place = at(`acme-${size}-${auditSize}`)
  await rename(acme, place)
  return place
}

export async function exported(place: string, name: string): Promise<Record<string, string>> {
  await done('export', place, '--out', at(name))
  return filesBelow(at(name))
}
