// Tests the phases of `npm start` before the daemon runs, in this checkout.
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { run } from '../support/process.ts'
import { repoRoot } from '../support/root.ts'

it('prepare.mjs installs and builds, and names each phase', async () => {
  const { code, stderr } = await run(process.execPath, [join(repoRoot, 'scripts/prepare.mjs')])
  expect([code, stderr]).toEqual([
    0,
    expect.stringMatching(/^checking dependencies\n(?:.*\n)*building\n(?:.*\n)*starting\n$/),
  ])
})
