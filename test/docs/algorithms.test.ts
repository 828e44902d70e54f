// The table of algorithms in docs/compliance.md says what `service-fs algorithms` prints.
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { ALGORITHMS, AS_OF } from '@service-fs/cli/algorithms/standing'
import { TREE_ALGORITHMS } from '@service-fs/format/tree-binding'
import { expect, it } from 'vitest'
import { repoRoot } from '../support/root.ts'

const page = readFileSync(join(repoRoot, 'docs/compliance.md'), 'utf8')
const section = /^## Algorithms\n(.*?)^## /ms.exec(page)?.[1] ?? ''

it('the page has the table that the command prints, with its date', () => {
  expect(section).toContain(`As of ${AS_OF},`)
  const rows = section.split('\n').filter((line) => line.startsWith('| ') && !line.startsWith('| algorithm '))
  const cells = rows.map((row) => row.split('|').map((cell) => cell.trim()))
  expect(cells.map(([, algorithm, , standing]) => [algorithm, standing])).toEqual(
    ALGORITHMS.map(({ name, standard, standing }) => [`${name} (${standard})`, standing]),
  )
  for (const { standing } of ALGORITHMS) expect(section).toContain(`\`${standing}\``)
  // One hash for the log's tree, one for each second tree, two kinds of signatures.
  expect(ALGORITHMS).toHaveLength(1 + TREE_ALGORITHMS.length + 2)
})
