// A daemon of either envelope on a place to which a test moved a ledger.

import { spawn, spawnSync, type ChildProcess } from 'node:child_process'
import { dirname, basename } from 'node:path'
import { serviceFs } from '../support/daemon.ts'
import { collect, end, hasExited, sleep } from '../support/process.ts'

/** The place of a ledger: a directory named after its tenant, or a disk image. */
export interface Place {
  envelope: 'a' | 'b'
  path: string
}

export const MODULE_ID = 'acme'

export interface Served {
  /** `http://127.0.0.1:PORT/t/acme/` */
  url: string
  /** Appends records of these sizes, in one commit. */
  append(records: readonly { id: string; bytes: number }[]): Promise<void>
  /** Stops the daemon cleanly, or kills it; afterwards no process has the ledger open. */
  end(how: 'SIGTERM' | 'SIGKILL'): Promise<void>
}

const running = new Set<ChildProcess>()
process.once('exit', () => {
  for (const child of running) child.kill('SIGKILL')
})

function isLocked(path: string): boolean {
  return spawnSync('flock', ['-n', path, 'true']).status !== 0
}

/** Starts `service-fs serve` on a place, with a new ledger if there is none. */
export async function serve({ envelope, path }: Place): Promise<Served> {
  const where =
    envelope === 'a' ? ['--root', dirname(path)] : ['--envelope', 'b', '--disk', path, '--disk-size', '64M']
  const args = ['serve', ...where, '--module-id', MODULE_ID, '--listen', '127.0.0.1:0', '--json']
  const child = spawn(process.execPath, [serviceFs, ...args], { stdio: ['ignore', 'pipe', 'pipe'] })
  running.add(child)
  child.once('exit', () => running.delete(child))
  const [stdout, stderr] = [collect(child.stdout), collect(child.stderr)]
  while (!stdout().includes('\n')) {
    if (hasExited(child)) throw new Error(`serve of ${path} ended with ${child.exitCode}: ${stderr()}`)
    await sleep(10)
  }
  const { url: base } = JSON.parse(stdout()) as { url: string }
  const url = `${base}t/${MODULE_ID}/`
  return {
    url,
    async append(records) {
      const lines = records.map(({ id, bytes }) => {
        const payload_base64 = Buffer.alloc(bytes, id).toString('base64')
        return JSON.stringify({ payload_id: id, payload_base64, type: 'application/octet-stream' })
      })
      const headers = { 'content-type': 'application/x-ndjson' }
      const answer = await fetch(`${url}v1/append`, { method: 'POST', headers, body: lines.join('\n') })
      if (answer.status !== 200) throw new Error(`append: ${answer.status} ${await answer.text()}`)
    },
    async end(signal) {
      await end(child, signal)
      if (signal === 'SIGTERM' && child.exitCode !== 0)
        throw new Error(`serve of ${basename(path)} ended with ${child.exitCode}: ${stderr()}`)
      // The storage server of a killed daemon finishes its pending work.
      if (envelope === 'b') while (isLocked(path)) await sleep(20)
    },
  }
}
