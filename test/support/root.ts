// The checkout's root directory, found from this module's location, bundled or not.

import { existsSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

function findRoot(): string {
  let dir = dirname(fileURLToPath(import.meta.url))
  while (!existsSync(join(dir, 'pnpm-workspace.yaml'))) {
    const parent = dirname(dir)
    if (parent === dir) throw new Error('no pnpm-workspace.yaml in any directory above this module')
    dir = parent
  }
  return dir
}

/** Absolute path, without a slash at its end. */
export const repoRoot: string = findRoot()
