// Builds the Debian package of this checkout: node packaging/deb.mjs [--out DIR]. Prints its path.
// The same commit gives the same bytes: all times are the commit's (or SOURCE_DATE_EPOCH), all owners root, all modes 0755 or 0644.
import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import {
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { dirname, join, relative, resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { gzipSync } from 'node:zlib'
import { deploy, licenses } from './deploy.mjs'

const packaging = import.meta.dirname
const repo = dirname(packaging)
const app = join(repo, 'app')

/** @param {string} path */
const text = (path) => readFileSync(path, 'utf8')

/**
 * Copies the installed files to their places below `root`. Returns the version.
 * @param {string} root
 * @param {string} out
 */
function layOut(root, out) {
  const lib = join(root, 'usr/lib/service-fs')
  deploy(lib, out)
  const { name, version, description, license, type } = JSON.parse(text(join(app, 'package.json')))
  write(
    join(lib, 'package.json'),
    `${JSON.stringify({ name, version, description, license, type }, undefined, 2)}\n`,
  )
  copy(join(packaging, 'debian/service-fs'), join(root, 'usr/bin/service-fs'))
  for (const unit of readdirSync(join(packaging, 'systemd')))
    copy(join(packaging, 'systemd', unit), join(root, 'usr/lib/systemd/system', unit))
  layOutShell(join(root, 'usr/share'))
  layOutDocs(join(root, 'usr/share/doc/service-fs'), lib)
  return version
}

/** Returns the output of a command of the built program. @param {string[]} args */
function printed(...args) {
  const env = { ...process.env, SOURCE_DATE_EPOCH: String(commitTime()) }
  return execFileSync(process.execPath, [join(app, 'bin/service-fs.js'), ...args], { env })
}

/** Writes the man page and the shell completions, which the program itself prints. @param {string} share */
function layOutShell(share) {
  write(join(share, 'man/man1/service-fs.1.gz'), gzipSync(printed('man'), { level: 9 }))
  write(join(share, 'bash-completion/completions/service-fs'), printed('completion', 'bash'))
  write(join(share, 'zsh/vendor-completions/_service-fs'), printed('completion', 'zsh'))
  write(join(share, 'fish/vendor_completions.d/service-fs.fish'), printed('completion', 'fish'))
}

/**
 * @param {string} doc
 * @param {string} lib
 */
function layOutDocs(doc, lib) {
  for (const path of filesIn(join(repo, 'docs'))) copy(path, join(doc, relative(join(repo, 'docs'), path)))
  for (const name of ['README.md', 'SECURITY.md']) copy(join(repo, name), join(doc, name))
  for (const part of ['grafana', 'prometheus', 'examples'])
    for (const path of filesIn(join(packaging, part))) copy(path, join(doc, relative(packaging, path)))
  write(join(doc, 'changelog.gz'), gzipSync(text(join(repo, 'CHANGELOG.md')), { level: 9 }))
  const { lines, texts } = licenses(lib)
  const parts = [
    `service-fs, Apache License 2.0:\n\n${text(join(repo, 'LICENSE')).trim()}`,
    `It contains these packages of npm, whose licenses are in /usr/lib/service-fs/node_modules or below:\n\n${lines.join('\n')}`,
    ...texts,
  ]
  write(join(doc, 'copyright'), `${parts.join('\n\n')}\n`)
}

/**
 * @param {string} from
 * @param {string} to
 */
function copy(from, to) {
  mkdirSync(dirname(to), { recursive: true })
  cpSync(from, to)
}

/**
 * @param {string} path
 * @param {string | Uint8Array} content
 */
function write(path, content) {
  mkdirSync(dirname(path), { recursive: true })
  writeFileSync(path, content)
}

/**
 * Writes the control files of the package: fields, checksums and scripts.
 * @param {string} root
 * @param {string} version
 * @param {string} arch
 */
function describe(root, version, arch) {
  const files = filesIn(root)
  const bytes = files.reduce((sum, path) => sum + statSync(path).size, 0)
  const sums = files.map((path) => {
    const sum = createHash('md5').update(readFileSync(path)).digest('hex')
    return `${sum}  ${relative(root, path)}\n`
  })
  const control = text(join(packaging, 'debian/control'))
    .replace('@VERSION@', version)
    .replace('@ARCH@', arch)
    .replace('@SIZE@', String(Math.ceil(bytes / 1024)))
  write(join(root, 'DEBIAN/control'), control)
  write(join(root, 'DEBIAN/md5sums'), sums.join(''))
  for (const script of ['postinst', 'prerm', 'postrm'])
    copy(join(packaging, 'debian', script), join(root, 'DEBIAN', script))
}

/**
 * Returns all files below `dir`, sorted.
 * @param {string} dir
 * @returns {string[]}
 */
function filesIn(dir) {
  return readdirSync(dir, { withFileTypes: true, recursive: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
    .toSorted()
}

const SCRIPTS =
  /^(?:DEBIAN\/(?:postinst|prerm|postrm)|usr\/bin\/service-fs|usr\/lib\/service-fs\/bin\/service-fs\.js)$/

/**
 * Sets the modes and the time of all files.
 * @param {string} root
 * @param {number} epoch seconds since 1970
 */
function settle(root, epoch) {
  const entries = readdirSync(root, { recursive: true, encoding: 'utf8' }).toSorted()
  for (const name of ['', ...entries].toReversed()) {
    const path = join(root, name)
    chmodSync(path, statSync(path).isDirectory() || SCRIPTS.test(name) ? 0o755 : 0o644)
    utimesSync(path, epoch, epoch)
  }
}

function commitTime() {
  const asked = process.env['SOURCE_DATE_EPOCH']
  if (asked !== undefined) return Number(asked)
  return Number(execFileSync('git', ['-C', repo, 'log', '-1', '--format=%ct'], { encoding: 'utf8' }))
}

function main() {
  const { values } = parseArgs({ options: { out: { type: 'string' } } })
  if (!existsSync(join(app, 'dist/main.js'))) {
    process.stderr.write('packaging/deb.mjs: not built yet: run `npm run build` first\n')
    return 3
  }
  const out = resolve(values.out ?? join(packaging, 'out'))
  mkdirSync(out, { recursive: true })
  const work = mkdtempSync(join(out, 'work-'))
  try {
    const arch = execFileSync('dpkg', ['--print-architecture'], { encoding: 'utf8' }).trim()
    const version = layOut(work, out)
    describe(work, version, arch)
    const epoch = commitTime()
    settle(work, epoch)
    const deb = join(out, `service-fs_${version}_${arch}.deb`)
    execFileSync('dpkg-deb', ['--root-owner-group', '-Zxz', '-z6', '--build', work, deb], {
      stdio: ['ignore', 'ignore', 'inherit'],
      env: { ...process.env, SOURCE_DATE_EPOCH: String(epoch) },
    })
    process.stdout.write(`${deb}\n`)
    return 0
  } finally {
    rmSync(work, { recursive: true, force: true })
  }
}

process.exitCode = main()
