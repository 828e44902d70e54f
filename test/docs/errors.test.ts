// Checks that docs/errors.md is up to date. To update it: npm run docs:errors
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { repoRoot } from '../support/root.ts'
import { errorsPage } from './errors.ts'

it('docs/errors.md lists every problem code and exit status', async () => {
  await expect(errorsPage()).toMatchFileSnapshot(join(repoRoot, 'docs/errors.md'))
})
