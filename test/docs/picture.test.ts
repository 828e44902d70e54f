// docs/architecture.svg is what Graphviz draws from docs/architecture.dot.
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { instance } from '@viz-js/viz'
import { expect, it } from 'vitest'
import { repoRoot } from '../support/root.ts'

it('architecture.svg shows architecture.dot (redraw it with: npx vitest run -u test/docs/picture.test.ts)', async () => {
  const source = readFileSync(join(repoRoot, 'docs/architecture.dot'), 'utf8')
  const svg = (await instance()).renderString(source, { format: 'svg' })
  await expect(svg).toMatchFileSnapshot(join(repoRoot, 'docs/architecture.svg'))
})
