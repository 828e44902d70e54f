// Starts `service-fs serve` and waits for its greeting, for daemons that a plain request cannot reach: with TLS, or with special limits.
import { execFileSync, spawn, type ChildProcess } from 'node:child_process'
import { join } from 'node:path'
import { serviceFs } from './daemon.ts'
import { collect, end, hasExited, sleep } from './process.ts'

export interface Serving {
  readonly port: number
  readonly stderr: () => string
  readonly stop: () => Promise<void>
}

const running = new Set<ChildProcess>()
process.once('exit', () => {
  for (const child of running) child.kill('SIGKILL')
})

/** The tenant `test`, on a free port of 127.0.0.1. `openFiles` limits the process's open files. */
export async function startServing(
  root: string,
  args: readonly string[],
  openFiles?: number,
): Promise<Serving> {
  const serve = [
    serviceFs,
    'serve',
    '--json',
    '--module-id',
    'test',
    '--root',
    root,
    '--listen',
    '127.0.0.1:0',
  ]
  const command = [process.execPath, ...serve, ...args]
  const [first = '', ...rest] =
    openFiles === undefined ? command : ['prlimit', `--nofile=${openFiles}`, ...command]
  const child = spawn(first, rest, { stdio: ['ignore', 'pipe', 'pipe'] })
  running.add(child)
  child.once('exit', () => running.delete(child))
  const [stdout, stderr] = [collect(child.stdout), collect(child.stderr)]
  while (!stdout().includes('\n')) {
    if (hasExited(child)) throw new Error(stderr())
    await sleep(10)
  }
  const { url } = JSON.parse(stdout()) as { url: string }
  return { port: Number(new URL(url).port), stderr, stop: () => end(child, 'SIGTERM') }
}

/** Makes `key.pem` and `cert.pem`, for localhost. */
export function makeCertificate(dir: string): { key: string; certificate: string } {
  const [key, certificate] = [join(dir, 'key.pem'), join(dir, 'cert.pem')]
  const curve = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '30']
  const files = ['-keyout', key, '-out', certificate]
  execFileSync('openssl', ['req', '-x509', ...curve, '-subj', '/CN=localhost', ...files], { stdio: 'ignore' })
  return { key, certificate }
}
