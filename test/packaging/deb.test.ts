// The Debian package: built twice, unpacked, and installed by dpkg over a copy-on-write view of this machine.
import { type ChildProcess, execFileSync, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { daemonBuilt } from '../support/daemon.ts'
import { end, freePort, run } from '../support/process.ts'
import { repoRoot } from '../support/root.ts'

const hasDpkg = spawnSync('dpkg-deb', ['--version']).status === 0
const work = mkdtempSync(join(tmpdir(), 'service-fs-deb-'))
const wrapper = join(repoRoot, 'packaging/debian/service-fs')
/** A build takes a quarter of a minute of CPU time: minutes on a busy machine. */
const BUILD_MS = 600_000
let deb = ''
const children: ChildProcess[] = []

async function build(out: string): Promise<string> {
  const done = await run(process.execPath, [join(repoRoot, 'packaging/deb.mjs'), '--out', out], {
    env: { SOURCE_DATE_EPOCH: '1767323045' },
    timeoutMs: BUILD_MS,
  })
  expect(done).toMatchObject({ code: 0, stderr: '' })
  return done.stdout.trim()
}

/** In its own mount namespace, / shows this machine, and writes go to memory. */
const OVER = `set -e
mount -t tmpfs none "$1"; mkdir "$1/up" "$1/work" "$1/root"
mount -t overlay none -o "lowerdir=/,upperdir=$1/up,workdir=$1/work" "$1/root"
mount -t proc proc "$1/root/proc"; mount --rbind /dev "$1/root/dev"
cp "$2" "$1/root/package.deb"
exec chroot "$1/root" sh -ec "$3"`

function over(script: string): [string, string[]] {
  const at = mkdtempSync(join(work, 'over-'))
  return ['unshare', ['-m', 'sh', '-c', OVER, 'sh', at, deb === '' ? '/dev/null' : deb, script]]
}

const canInstall = hasDpkg && process.getuid?.() === 0 && spawnSync(...over('dpkg --version')).status === 0

beforeAll(async () => {
  expect(daemonBuilt).toBe(true)
  if (hasDpkg) deb = await build(work)
}, BUILD_MS)
afterEach(async () => {
  for (const child of children.splice(0)) await end(child, 'SIGTERM')
})
afterAll(() => rmSync(work, { recursive: true, force: true }))

/** Starts a command that prints a line of JSON when it is ready. */
async function started(command: string, args: string[]): Promise<Record<string, string>> {
  const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'inherit'] })
  children.push(child)
  for await (const line of createInterface({ input: child.stdout }))
    if (line.startsWith('{')) return JSON.parse(line) as Record<string, string>
  throw new Error(`${args.at(-1)}: ended with ${child.exitCode} before it was ready`)
}

async function appendAndRead(url: string, moduleId: string): Promise<void> {
  const headers = { 'content-type': 'application/json' }
  const body = JSON.stringify({ payload_id: 'hello-1', payload: { hello: 'world' } })
  const appended = await fetch(`${url}t/${moduleId}/v1/append`, { method: 'POST', headers, body })
  expect(await appended.json()).toMatchObject({ cursor: 1, duplicate: false })
  const read = await fetch(`${url}t/${moduleId}/v1/records/hello-1`)
  expect(read.headers.get('x-audit-index')).toBe('0')
  expect(await read.json()).toMatchObject({ payload: { hello: 'world' } })
}

describe.skipIf(!hasDpkg)('the Debian package (skipped without dpkg-deb)', () => {
  it(
    'is reproducible',
    async () => {
      const again = await build(mkdtempSync(join(work, 'again-')))
      expect(readFileSync(again).equals(readFileSync(deb))).toBe(true)
    },
    BUILD_MS,
  )

  it('holds the command, its units, its documentation and licenses, but no sources', () => {
    const listing = execFileSync('dpkg-deb', ['-c', deb], { encoding: 'utf8' })
    const names = listing.split('\n').map((line) => line.split(/\s+/)[5] ?? '')
    for (const path of [
      'usr/bin/service-fs',
      'usr/lib/service-fs/dist/main.js',
      'usr/lib/service-fs/dist/check-worker.js',
      'usr/lib/service-fs/dist/file-worker.js',
      'usr/lib/systemd/system/service-fs-host.service',
      'usr/lib/systemd/system/service-fs@.service',
      'usr/lib/systemd/system/service-fs@.socket',
      'usr/share/man/man1/service-fs.1.gz',
      'usr/share/bash-completion/completions/service-fs',
      'usr/share/zsh/vendor-completions/_service-fs',
      'usr/share/fish/vendor_completions.d/service-fs.fish',
      'usr/share/doc/service-fs/operating.md',
      'usr/share/doc/service-fs/copyright',
      'usr/share/doc/service-fs/grafana/service-fs.json',
      'usr/share/doc/service-fs/prometheus/service-fs.rules.yml',
    ])
      expect(names).toContain(`./${path}`)
    expect(names.filter((name) => /\.(?:ts|map)$/.test(name))).toEqual([])
    expect(listing.split('\n').filter((line) => line !== '' && !line.includes(' root/root '))).toEqual([])
  })

  it('contains every package that the program imports', async () => {
    const at = mkdtempSync(join(work, 'packages-'))
    execFileSync('dpkg-deb', ['-x', deb, at])
    const dist = join(at, 'usr/lib/service-fs/dist')
    const bundle = readdirSync(dist).map((name) => readFileSync(join(dist, name), 'utf8'))
    const asked = bundle.flatMap((text) => [
      ...text.matchAll(/^(?:import|export)\b[^'"]*from ?"([^"]+)"|\bimport\("([^"]+)"\)/gm),
    ])
    const names = new Set(asked.map(([, by = '', lazily = '']) => by + lazily))
    const packages = [...names].filter((name) => !/^(?:\.|node:)/.test(name))
    expect(packages).toEqual(expect.arrayContaining(['pino', 'commander', 'koffi', 'jose']))
    const probe = join(dist, 'probe.mjs')
    writeFileSync(probe, packages.map((name) => `await import(${JSON.stringify(name)})\n`).join(''))
    expect(await run(process.execPath, [probe])).toMatchObject({ code: 0, stderr: '' })
  })

  it('states the license of every package in it, and has the license text of the bundled ones', () => {
    const at = mkdtempSync(join(work, 'copyright-'))
    execFileSync('dpkg-deb', ['-x', deb, at])
    const copyright = readFileSync(join(at, 'usr/share/doc/service-fs/copyright'), 'utf8')
    const manifests = readdirSync(join(at, 'usr/lib/service-fs/node_modules'), {
      recursive: true,
      encoding: 'utf8',
    })
      .filter((path) => /(?:^|\/node_modules\/)(?:@[^/]+\/)?[^/@]+\/package\.json$/.test(path))
      .map((path) => readFileSync(join(at, 'usr/lib/service-fs/node_modules', path), 'utf8'))
    expect(manifests.length).toBeGreaterThan(100)
    for (const text of manifests) {
      const { name, version, license } = JSON.parse(text) as Record<string, string>
      const line = copyright.split('\n').find((candidate) => candidate.startsWith(`${name} `)) ?? ''
      const [, versions = '', found] = /^\S+ (.*): (.*)$/.exec(line) ?? []
      expect([name, versions.split(', '), found]).toEqual([name, expect.arrayContaining([version]), license])
    }
    for (const [name, owner] of [
      ['@noble/hashes', 'Paul Miller'],
      ['valibot', 'Fabian Hiller'],
    ])
      expect(copyright).toMatch(new RegExp(`^${name}:\n\n.*License.*\n\nCopyright \\(c\\).*${owner}`, 'm'))
  })

  it('runs after unpacking, without installation', async () => {
    const at = mkdtempSync(join(work, 'unpacked-'))
    execFileSync('dpkg-deb', ['-x', deb, at])
    const listen = `127.0.0.1:${await freePort()}`
    const program = join(at, 'usr/lib/service-fs/bin/service-fs.js')
    const serve = [
      'serve',
      '--json',
      '--module-id',
      'acme',
      '--root',
      join(at, 'ledgers'),
      '--listen',
      listen,
    ]
    const { url = '' } = await started(process.execPath, [program, ...serve])
    await appendAndRead(url, 'acme')
    await end(children[0]!, 'SIGTERM')
    const verified = await run(process.execPath, [program, 'verify', join(at, 'ledgers/acme'), '--json'])
    expect(JSON.parse(verified.stdout)).toMatchObject({ ok: true, entries: 1 })
  })
})

describe.skipIf(!canInstall)('installed by dpkg (skipped without root, dpkg and overlayfs)', () => {
  it('installs a command that runs a daemon, and keeps the ledgers when it is purged', async () => {
    const listen = `127.0.0.1:${await freePort()}`
    const serve = `service-fs serve --json --module-id acme --root /var/lib/ledgers --listen ${listen}`
    const script = `dpkg -i /package.deb >/dev/null
trap 'kill $daemon' TERM
${serve} & daemon=$!
wait $daemon || true; wait $daemon
dpkg --purge service-fs >&2
echo "left: $(ls /usr/lib/service-fs /usr/bin/service-fs 2>/dev/null) $(ls /var/lib/ledgers/acme/checkpoint)"`
    const [command, args] = over(script)
    const { url = '' } = await started(command, args)
    await appendAndRead(url, 'acme')
    const child = children[0]!
    const lines: string[] = []
    createInterface({ input: child.stdout! }).on('line', (line) => lines.push(line))
    child.kill('SIGTERM')
    await once(child, 'close')
    expect(lines.at(-1)).toBe('left:  /var/lib/ledgers/acme/checkpoint')
  })

  it('has units that systemd-analyze accepts', async () => {
    const units = 'service-fs-host.service service-fs@acme.service service-fs@acme.socket'
    const done = await run(...over(`dpkg -i /package.deb >/dev/null; systemd-analyze verify ${units} 2>&1`))
    const ours = done.stdout.split('\n').filter((line) => line.includes('service-fs'))
    expect({ code: done.code, ours }).toEqual({ code: 0, ours: [] })
  })
})

/** Runs the package's command with a Node.js of that version. */
const withNode = (version: string): { status: number | null; stderr: string } => {
  const node = join(mkdtempSync(join(work, 'node-')), 'node')
  writeFileSync(node, `#!/bin/sh\necho ${version}\n`)
  chmodSync(node, 0o755)
  return spawnSync('sh', [wrapper, '--help'], {
    env: { ...process.env, SERVICE_FS_NODE: node },
    encoding: 'utf8',
  })
}

describe('the command of the package', () => {
  it.each(['v18.20.4', 'v20.18.3', 'v12.22.12'])(
    'refuses Node.js %s, and names the version it needs',
    (version) => {
      const { status, stderr } = withNode(version)
      expect(status).toBe(3)
      expect(stderr).toMatch(
        new RegExp(`^service-fs: Node\\.js 20\\.19 or later is needed, .* is ${version.slice(1)} `),
      )
    },
  )

  it.each(['v20.19.0', 'v22.0.0', 'v100.1.1'])('takes %s', (version) => {
    expect(withNode(version)).toMatchObject({ status: 0, stderr: '' })
  })

  it('reports a missing Node.js', () => {
    const env = { ...process.env, SERVICE_FS_NODE: join(work, 'no-node') }
    const { status, stderr } = spawnSync('sh', [wrapper], { env, encoding: 'utf8' })
    expect(status).toBe(3)
    expect(stderr).toContain('there is no "')
  })
})

it('no build of the package is committed', () => {
  const tracked = execFileSync('git', ['-C', repoRoot, 'ls-files', 'packaging'], { encoding: 'utf8' })
  expect(tracked.split('\n').filter((name) => /\.deb$|^packaging\/out\//.test(name))).toEqual([])
  expect(existsSync(join(repoRoot, 'packaging/.gitignore'))).toBe(true)
  expect(readdirSync(join(repoRoot, 'packaging'))).toContain('deb.mjs')
})
