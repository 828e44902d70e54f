// verify.sh and the verifier in Python check second trees as verify does.
import { cpSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { spawnSync } from 'node:child_process'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { makeBoundLedger, removeSecondTree, type TestBound } from '@service-fs/client/testing-second-tree'
import { verifyDirectory } from '@service-fs/client/verify-directory'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { QUICK } from '../support/quick.ts'
import { damage, random } from './damages.ts'
import { makeRoot, whyNoRoot, type RootFs, type ShellKind } from './root-fs.ts'
import { runVerifier } from './verifier.ts'

const DAMAGES = QUICK ? 6 : 40
const SEED = Number(process.env['SEED'] ?? 1)
const noPython = spawnSync('python3', ['-c', 'pass']).status === 0 ? undefined : 'no python3'

/** Ledgers of all forms; the tree of one lags behind its log. */
const LEDGERS: Record<string, TestBound> = {
  grow: { algorithm: 'sha3-256', before: 300, after: 20, tail: 'grow' },
  export: { algorithm: 'sha2-512', before: 400, after: 150, bound: 270, size: 530, tail: 'export' },
  each: { algorithm: 'sha3-256', before: 20, after: 10, bound: 13, size: 25, tail: 'each' },
  empty: { algorithm: 'sha2-512', before: 0, after: 2, tail: 'grow' },
}

let work = ''

beforeAll(async () => {
  work = mkdtempSync(join(tmpdir(), 'service-fs-second-trees-'))
  for (const [name, ledger] of Object.entries(LEDGERS)) await makeBoundLedger(join(work, name), ledger)
})

afterAll(() => rmSync(work, { recursive: true, force: true }))

/** Yields copies of the ledgers, each with one damage in the folder of the second tree, and the verdict of `verify`. */
async function* damaged(count: number): AsyncGenerator<{ dir: string; ok: boolean; label: string }> {
  const names = Object.keys(LEDGERS)
  for (let i = 0; i < count; i++) {
    const name = names[i % names.length] ?? ''
    const dir = join(work, 'damaged')
    rmSync(dir, { recursive: true, force: true })
    cpSync(join(work, name), dir, { recursive: true })
    const { file, what } = damage(join(dir, LEDGERS[name]?.algorithm ?? ''), random(SEED * 3000 + i))
    const { ok, problems } = await verifyDirectory(dir)
    yield {
      dir,
      ok,
      label: `seed ${SEED}, damage ${i} of ${name}: ${file}, ${what}\n${JSON.stringify(problems)}`,
    }
  }
}

describe.each<ShellKind>(QUICK ? ['dash'] : ['dash', 'busybox'])('verify.sh under %s', (kind) => {
  const why = whyNoRoot(kind)

  describe.skipIf(why !== undefined)(why === undefined ? 'and nothing else' : `(skipped: ${why})`, () => {
    let root: RootFs

    beforeAll(() => {
      root = makeRoot(kind)
    })

    afterAll(() => root.dispose())

    it('verifies second trees', () => {
      for (const name of Object.keys(LEDGERS)) {
        const said = root.verify(join(work, name))
        expect([said.status, said.stderr]).toEqual([
          0,
          expect.stringContaining('the second tree, has ') as string,
        ])
      }
    })

    it('finds what verify finds in second trees', async () => {
      for await (const { dir, ok, label } of damaged(DAMAGES)) {
        const said = root.verify(dir)
        expect([said.status, said.stderr.includes('FALSE: ')], `${label}\n${said.stderr}`).toEqual(
          ok ? [0, false] : [1, true],
        )
        expect(said.stderr, label).not.toMatch(/awk:|syntax error|not found:/)
      }
    })

    it('notes that it cannot check a tree with BLAKE3, and that a copy leaves a tree out', async () => {
      const dir = join(work, 'blake3')
      await makeBoundLedger(dir, { algorithm: 'blake3', before: 20, after: 5, tail: 'export' })
      expect(root.verify(dir)).toMatchObject({
        status: 0,
        stderr: expect.stringContaining('openssl has no BLAKE3') as string,
      })
      await removeSecondTree(dir, 'blake3')
      expect(root.verify(dir)).toMatchObject({
        status: 1,
        stderr: expect.stringContaining(
          'FALSE: blake3: expected the second tree that entry 20 binds',
        ) as string,
      })
      cpSync(join(work, 'grow', 'sha3-256', 'keys'), join(dir, 'blake3'), { recursive: true })
      rmSync(join(dir, 'blake3', 'ed25519.vkey'))
      writeFileSync(join(dir, 'blake3', 'left-out.txt'), 'x\n')
      expect(root.verify(dir)).toMatchObject({
        status: 0,
        stderr: expect.stringContaining('leaves out the second tree') as string,
      })
    })
  })
})

describe.skipIf(noPython !== undefined)(
  `a verifier written from README.txt${noPython === undefined ? '' : ` (skipped: ${noPython})`}`,
  () => {
    it('verifies second trees, and finds what verify finds there', async () => {
      for (const name of Object.keys(LEDGERS))
        expect(runVerifier(join(work, name))).toMatchObject({ status: 0, stderr: '' })
      for await (const { dir, ok, label } of damaged(DAMAGES)) {
        const said = runVerifier(dir)
        expect([said.status, said.stderr.startsWith('FALSE: ')], `${label}\n${said.stderr}`).toEqual(
          ok ? [0, false] : [1, true],
        )
      }
    })
  },
)
