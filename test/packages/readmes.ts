// The examples in the packages' READMEs.

import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { repoRoot } from '../support/root.ts'

export interface Example {
  /** The package's name without its scope. */
  readonly name: string
  /** The first block of TypeScript. */
  readonly code: string
  /** Its expected output: the block after it. */
  readonly prints: string
}

/** Names of the packages that are published. */
export const published: readonly string[] = readdirSync(join(repoRoot, 'packages')).filter((name) => {
  const manifest = join(repoRoot, 'packages', name, 'package.json')
  return existsSync(manifest) && 'publishConfig' in JSON.parse(readFileSync(manifest, 'utf8'))
})

/** The example of a package. @throws Error when its README has none */
export function exampleOf(name: string): Example {
  const text = readFileSync(join(repoRoot, 'packages', name, 'README.md'), 'utf8')
  const [, code, prints] = /^```ts\n(.*?)^```\n\n```text\n(.*?)^```$/ms.exec(text) ?? []
  if (code === undefined || prints === undefined)
    throw new Error(`packages/${name}/README.md: expected a block of ts, followed by one of text`)
  return { name, code, prints }
}
