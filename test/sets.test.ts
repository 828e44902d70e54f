// Checks that the files, folders and packages that test/sets.mjs lists exist.
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { repoRoot } from './support/root.ts'
import { alone, fullOnly, groups, replacing } from './sets.mjs'
import { testFiles } from './affected.mjs'

const isThere = (path: string): boolean => existsSync(join(repoRoot, path))

/** Names of the packages that the spanning tests can import. */
function packages(): string[] {
  const manifest = JSON.parse(readFileSync(join(repoRoot, 'test/package.json'), 'utf8')) as {
    devDependencies: Record<string, string>
  }
  return Object.keys(manifest.devDependencies)
}

describe('the sets of tests', () => {
  it('the sets name every unit test that replaces a module', () => {
    const found = testFiles().filter(
      (path) =>
        !path.startsWith('test/') &&
        /\bvi\.(?:mock|doMock)\(/.test(readFileSync(join(repoRoot, path), 'utf8')),
    )
    expect(replacing).toEqual(found)
  })

  it.each([...fullOnly, ...alone])('the sets name a file that exists: %s', (path) => {
    expect(isThere(path)).toBe(true)
  })

  it.each(Object.entries(groups))(
    'the sets name the folder %s, and the packages that it exercises',
    (folder, needs) => {
      expect(isThere(folder)).toBe(true)
      const known = packages()
      for (const need of needs)
        expect(need.startsWith('@') ? known.includes(need) : isThere(need), need).toBe(true)
    },
  )
})
