// A verifier in Python, written from README.txt alone, agrees with verify.
import { spawnSync } from 'node:child_process'
import { cpSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { makeLedger, testRecords } from '@service-fs/client/testing'
import { verifyDirectory } from '@service-fs/client/verify-directory'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { QUICK } from '../support/quick.ts'
import { damage, random } from './damages.ts'
import { makeBoth, makeByDaemon, mixedRecords } from './ledgers.ts'
import { runVerifier } from './verifier.ts'

const DAMAGES = QUICK ? 12 : 200
const SEED = Number(process.env['SEED'] ?? 1)
const noPython = spawnSync('python3', ['-c', 'pass']).status === 0 ? undefined : 'no python3'

let work = ''

beforeAll(() => {
  work = mkdtempSync(join(tmpdir(), 'service-fs-verifier-'))
})

afterAll(() => rmSync(work, { recursive: true, force: true }))

describe.skipIf(noPython !== undefined)(
  `a verifier written from README.txt${noPython === undefined ? '' : ` (skipped: ${noPython})`}`,
  () => {
    it.each(['a', 'b'] as const)(
      'verifies a ledger that a daemon of Envelope %s wrote',
      async (envelope) => {
        const folder = join(work, envelope)
        mkdirSync(folder)
        const said = runVerifier(await makeByDaemon(folder, envelope, 600))
        expect(said).toMatchObject({ status: 0, stderr: '' })
        expect(said.stdout).toMatch(/has 601 entries, 600 records[^]*\/audit has 30 entries/)
      },
      300_000,
    )

    it('verifies records of all kinds, and finds what verify finds', async () => {
      const ledgers: string[] = []
      for (const tail of ['grow', 'each', 'export'] as const) {
        const dir = join(work, tail)
        await makeBoth(dir, { records: mixedRecords(300), tail, commit: 60 })
        expect(runVerifier(dir)).toMatchObject({ status: 0, stderr: '' })
        ledgers.push(dir)
      }
      const copy = join(work, 'damaged')
      for (let i = 0; i < DAMAGES; i++) {
        rmSync(copy, { recursive: true, force: true })
        cpSync(ledgers[i % 3] ?? '', copy, { recursive: true })
        const { file, what } = damage(copy, random(SEED * 5000 + i))
        const report = await verifyDirectory(copy)
        const said = runVerifier(copy)
        const label = `seed ${SEED}, damage ${i}: ${file}, ${what}\n${JSON.stringify(report.problems)}\n${said.stderr}`
        expect([said.status, said.stderr.startsWith('FALSE: ')], label).toEqual(
          report.ok ? [0, false] : [1, true],
        )
      }
    }, 1_200_000)

    it('verifies an empty ledger', async () => {
      const dir = join(work, 'empty')
      await makeLedger(dir, { records: testRecords(0) })
      expect(runVerifier(dir)).toMatchObject({ status: 0, stderr: '' })
    })
  },
)
