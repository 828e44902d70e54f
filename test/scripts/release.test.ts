// `npm run release` in a copy of this checkout.

import { readFileSync, readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { run, type Finished } from '../support/process.ts'
import { published } from '../packages/readmes.ts'
import { copyCheckout, type Copy } from './copy.ts'

const VERSION = '7.8.9'
const CHANGES = '# Changes\n\n## Unreleased\n\n- A change.\n\n## 0.0.1 (2020-01-02)\n\n- An earlier one.\n'

let copy: Copy
const release = (...args: string[]): Promise<Finished> =>
  run('npm', ['run', '--silent', 'release', '--', ...args], { cwd: copy.directory })
const at = (path: string): string => join(copy.directory, path)
const text = (path: string): string => readFileSync(at(path), 'utf8')

function changelog(content: string): void {
  writeFileSync(at('CHANGELOG.md'), content)
  copy.git('commit', '--quiet', '--all', '--allow-empty', '--message', 'changelog')
}

beforeAll(() => {
  copy = copyCheckout()
  changelog(CHANGES)
})
afterAll(() => copy.dispose())

describe('npm run release', () => {
  it.each([
    ['no version', [], /VERSION: expected MAJOR\.MINOR\.PATCH, found nothing/],
    ['a version with a v', ['v7.8.9'], /VERSION: expected MAJOR\.MINOR\.PATCH, found v7\.8\.9/],
    ['an earlier version', ['0.0.1'], /VERSION: expected one above \d+\.\d+\.\d+, found 0\.0\.1/],
  ])('refuses %s', async (_, args, message) => {
    const { code, stderr } = await release(...args, '--tested')
    expect([code, stderr]).toEqual([1, expect.stringMatching(message)])
  })

  it('refuses a tree with changes', async () => {
    writeFileSync(at('new.txt'), '')
    expect(await release(VERSION, '--tested')).toMatchObject({ code: 1, stderr: /not clean/ })
    copy.git('clean', '--quiet', '--force')
  })

  it('refuses a changelog without changes', async () => {
    changelog(CHANGES.replace('- A change.\n\n', ''))
    const { code, stderr } = await release(VERSION, '--tested')
    expect([code, stderr]).toEqual([1, expect.stringContaining('expected changes below "Unreleased"')])
    changelog(CHANGES)
  })

  it('writes the version and the changelog, packs the packages, commits and tags', async () => {
    const { code, stdout, stderr } = await release(VERSION, '--tested')
    expect([code, stderr]).toEqual([0, expect.stringContaining(`package.json: ${VERSION}`)])
    expect(stdout).toContain(`Released ${VERSION}`)
    expect(copy.git('status', '--porcelain')).toBe('')
    expect(copy.git('log', '-1', '--format=%s %D')).toMatch(
      new RegExp(`^release: ${VERSION} .*tag: v${VERSION}`),
    )
    expect(copy.git('cat-file', '-t', `v${VERSION}`)).toBe('tag')

    const today = new Date().toISOString().slice(0, 10)
    expect(text('CHANGELOG.md')).toBe(
      CHANGES.replace('## Unreleased\n', `## Unreleased\n\n## ${VERSION} (${today})\n`),
    )
    const manifests = copy.git('ls-files', '**/package.json', 'package.json').split('\n')
    const versions = manifests.map((path) => (JSON.parse(text(path)) as { version?: string }).version)
    expect(new Set(versions.filter(Boolean))).toEqual(new Set([VERSION]))
    expect(readdirSync(at('dist/npm')).sort()).toEqual(
      published.map((name) => `service-fs-${name}-${VERSION}.tgz`).sort(),
    )

    const again = await release(VERSION, '--tested')
    expect(again).toMatchObject({ code: 1, stderr: expect.stringContaining(`expected one above ${VERSION}`) })
  })
})
