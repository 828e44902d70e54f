// Checks that the files, headings, packages, commands, routes and error codes in the documentation exist.
import { execFileSync } from 'node:child_process'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { dirname, join, relative, resolve } from 'node:path'
import { PROBLEMS } from '@service-fs/wire/problem'
import { ROUTES } from '@service-fs/wire/routes'
import { beforeAll, describe, expect, it } from 'vitest'
import { daemonBuilt, serviceFsCommand } from '../support/daemon.ts'
import { repoRoot } from '../support/root.ts'

const pages = [
  'README.md',
  'CHANGELOG.md',
  'SECURITY.md',
  'CONTRIBUTING.md',
  'examples/README.md',
  ...readdirSync(join(repoRoot, 'docs'), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.md'))
    .map((name) => join('docs', name)),
]

function textOf(page: string): string {
  return readFileSync(join(repoRoot, page), 'utf8')
}

/** The text without code blocks, in which brackets are not links and # is not a heading. */
function prose(text: string): string {
  return text.replaceAll(/^```.*?^```$/gms, '')
}

/** Rows of tables. */
function rowsOf(page: string): string[] {
  return prose(textOf(page))
    .split('\n')
    .filter((line) => line.startsWith('| '))
}

function matches(text: string, pattern: RegExp): string[] {
  return [...text.matchAll(pattern)].map((match) => match[1] ?? '')
}

/** The anchors of a page's headings, as GitHub makes them. */
function anchorsOf(page: string): string[] {
  return matches(prose(textOf(page)), /^#+ (.+)$/gm).map((heading) =>
    heading
      .toLowerCase()
      .replaceAll(/[^\p{L}\p{N}\s_-]/gu, '')
      .replaceAll(' ', '-'),
  )
}

const files = execFileSync('git', ['ls-files'], { cwd: repoRoot, encoding: 'utf8' }).split('\n')
const names = new Set(files.map((path) => path.slice(path.lastIndexOf('/') + 1)))
const roots = [...new Set(files.flatMap((path) => (path.includes('/') ? [path.split('/')[0] ?? ''] : [])))]
/** A path below a folder of the repository, in prose or in code. */
const PATH = new RegExp(
  String.raw`(?<![\w./<$~@:-])((?:${roots.map((root) => root.replace('.', String.raw`\.`)).join('|')})/[\w./-]*\w/?)(?![\w<*{$[…])`,
  'g',
)
/** Folders made by builds. */
const made = /(?:^|\/)(?:dist|build|out|node_modules)(?:\/|$)/
/** The modules that a package exports as `@service-fs/PACKAGE/MODULE`. */
const MODULE = /(@service-fs\/[\w/-]+)/g
const packages = new Map(
  files
    .filter((path) => /(?:^|\/)package\.json$/.test(path))
    .map((path): [string, string] => [
      (JSON.parse(readFileSync(join(repoRoot, path), 'utf8')) as { name?: string }).name ?? '',
      dirname(path),
    ]),
)

describe.each(pages)('%s', (page) => {
  it('names paths that exist', () => {
    const text = textOf(page)
    for (const path of matches(text, PATH))
      if (!made.test(path)) expect(existsSync(join(repoRoot, path)), `${page}: ${path}`).toBe(true)
    for (const name of matches(text, /`([\w-]+\.(?:ts|mjs|js|c|h))`/g))
      if (!made.test(name)) expect(names, `${page}: ${name}`).toContain(name)
  })

  it('names packages and modules that exist', () => {
    for (const specifier of matches(textOf(page), MODULE)) {
      const [scope = '', name = '', ...module] = specifier.split('/')
      const at = packages.get(`${scope}/${name}`)
      expect(at, `${page}: ${specifier}`).toBeDefined()
      const source = join(repoRoot, at ?? '', 'src', `${module.join('/') || 'index'}.ts`)
      if (module.length > 0) expect(existsSync(source), `${page}: ${specifier}`).toBe(true)
    }
  })

  it('has links that resolve', () => {
    const links = matches(prose(textOf(page)), /\]\(([^)\s]+)\)/g).filter((link) => !/^[a-z]+:/.test(link))
    for (const link of links) {
      const [path = '', anchor] = link.split('#')
      const target = path === '' ? page : relative(repoRoot, resolve(repoRoot, dirname(page), path))
      expect(existsSync(join(repoRoot, target)), `${page}: ${link}`).toBe(true)
      if (anchor !== undefined) expect(anchorsOf(target), `${page}: ${link}`).toContain(anchor)
    }
  })
})

describe('commands', () => {
  let commands: string[] = []

  beforeAll(async () => {
    expect(daemonBuilt).toBe(true)
    const { stdout } = await serviceFsCommand(['--help'])
    commands = matches(stdout, /^ {2}([a-z-]+) (?:\[|<| )/gm).filter((name) => name !== 'help')
    expect(commands.length).toBeGreaterThan(0)
  })

  it.each(pages)('of %s exist', (page) => {
    for (const name of matches(textOf(page), /npx service-fs ([a-z][a-z-]*)/g))
      expect(commands, `${page}: npx service-fs ${name}`).toContain(name)
  })

  it.each(['README.md', 'docs/client.md'])('are all in %s', (page) => {
    const named = matches(textOf(page), /npx service-fs ([a-z][a-z-]*)/g)
    for (const name of commands) expect(named).toContain(name)
  })
})

describe('docs/wire.md', () => {
  const rows = rowsOf('docs/wire.md')

  it('lists exactly the existing routes', () => {
    const documented = matches(rows.join('\n'), /`((?:GET|POST) \/[^`\s]*)`/g)
    expect(documented.toSorted()).toEqual(
      ROUTES.map(({ method, pattern }) => `${method} ${pattern}`).toSorted(),
    )
  })

  it('lists the query parameters of all routes', () => {
    for (const { method, pattern, query, audit } of ROUTES) {
      const row = rows.find((line) => line.startsWith(`| \`${method} ${pattern}\` |`))
      if (!audit) expect(matches(row?.split('|')[2] ?? '', /`([a-z]+)`/g)).toEqual([...query])
    }
  })
})

describe('docs/errors.md', () => {
  it('lists exactly the existing error codes, with their statuses', () => {
    const documented: Record<string, number> = {}
    for (const row of rowsOf('docs/errors.md')) {
      const [, codes = '', status = ''] = row.split('|').map((cell) => cell.trim())
      if (/^[45]\d\d$/.test(status))
        for (const code of matches(codes, /`([a-z-]+)`/g)) documented[code] = Number(status)
    }
    const known = Object.entries(PROBLEMS).map(([code, { status }]) => [code, status])
    expect(documented).toEqual(Object.fromEntries(known))
  })
})
