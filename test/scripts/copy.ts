// A copy of this checkout, with its uncommitted changes, in a repository of its own.

import { execFileSync } from 'node:child_process'
import { cpSync, existsSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { repoRoot } from '../support/root.ts'

export interface Copy {
  readonly directory: string
  /** Runs git in the copy and returns its output. */
  git(...args: string[]): string
  dispose(): void
}

/** Copies the files that git knows, and commits them. Nothing is installed or built. */
export function copyCheckout(): Copy {
  const directory = mkdtempSync(join(tmpdir(), 'service-fs-copy-'))
  const git = (...args: string[]): string =>
    execFileSync('git', args, { cwd: directory, encoding: 'utf8' }).trim()
  const listed = execFileSync('git', ['ls-files', '-z', '--cached', '--others', '--exclude-standard'], {
    cwd: repoRoot,
    encoding: 'utf8',
  })
  for (const path of listed.split('\0').filter(Boolean))
    if (existsSync(join(repoRoot, path)))
      cpSync(join(repoRoot, path), join(directory, path), { verbatimSymlinks: true })
  git('init', '--quiet')
  git('config', 'user.name', 'test')
  git('config', 'user.email', 'test@example.org')
  git('add', '--all')
  git('commit', '--quiet', '--message', 'checkout')
  return { directory, git, dispose: () => rmSync(directory, { recursive: true, force: true }) }
}
