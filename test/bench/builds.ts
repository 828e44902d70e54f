// The revisions of service-fs under test: the working tree, and another one built in a directory of its own.

import { execFileSync } from 'node:child_process'
import { chmodSync, existsSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { run } from '../support/process.ts'
import { repoRoot } from '../support/root.ts'

export interface Build {
  /** Its name in reports: 'working tree', or the revision. */
  name: string
  /** The root of its checkout. */
  root: string
  /** The script of its command. */
  command: string
}

const BUILD_MS = 900_000

export const workingTree: Build = buildAt('working tree', repoRoot)

function buildAt(name: string, root: string): Build {
  return { name, root, command: join(root, 'app/bin/service-fs.js') }
}

export function isBuilt({ root }: Build): boolean {
  return existsSync(join(root, 'app/dist/main.js'))
}

/**
 * Returns the build of a revision. A revision is built in a worktree in the directory for temporary files, which is removed when
 * this process exits. The directory of another checkout is used as it is.
 */
export async function buildOf(revision: string): Promise<Build> {
  if (existsSync(join(revision, 'pnpm-workspace.yaml'))) {
    return buildAt(revision, resolve(revision))
  }
  const commit = commitNamed(revision)
  const parent = mkdtempSync(join(tmpdir(), 'service-fs-bench-'))
  // The tenants of a host are other users, who load the program.
  chmodSync(parent, 0o755)
  const root = join(parent, 'checkout')
  process.once('exit', () => {
    try {
      git('worktree', 'remove', '--force', '--force', root)
    } finally {
      rmSync(parent, { recursive: true, force: true })
    }
  })
  git('worktree', 'add', '--detach', root, commit)
  const build = buildAt(revision, root)
  const done = await run('npm', ['run', '--silent', 'build'], { cwd: root, timeoutMs: BUILD_MS })
  if (done.code !== 0 || !isBuilt(build))
    throw new Error(`${revision}: \`npm run build\` failed: ${done.stderr}${done.stdout}`)
  return build
}

function commitNamed(revision: string): string {
  try {
    return git('rev-parse', '--verify', '--quiet', '--end-of-options', `${revision}^{commit}`)
  } catch (error) {
    throw new RangeError(`--vs ${revision}: expected a revision or the directory of a checkout`, {
      cause: error,
    })
  }
}

function git(...args: string[]): string {
  try {
    return execFileSync('git', args, {
      cwd: repoRoot,
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'pipe'],
    }).trim()
  } catch (error) {
    throw new Error(`git ${args.join(' ')} failed`, { cause: error })
  }
}

/** Returns the commit of the checkout, with `+` if files differ from it, or '' outside of git. */
export function commitOf({ root }: Build): string {
  const at = (...args: string[]): string =>
    execFileSync('git', args, { cwd: root, encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }).trim()
  try {
    return at('rev-parse', '--short=12', 'HEAD') + (at('status', '--porcelain') === '' ? '' : '+')
  } catch {
    return ''
  }
}
