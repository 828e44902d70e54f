import { spawn } from 'node:child_process'
import { mkdtemp, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { writerOf } from './process.ts'

const why = process.platform === 'linux' ? '' : ' (skipped: not Linux)'

let dir: string
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'service-fs-'))
})
afterEach(() => rm(dir, { recursive: true }))

/** Runs `work` while another process has the file locked. */
async function whileLocked(path: string, work: (pid: number) => Promise<void>): Promise<void> {
  const holder = spawn('flock', [path, 'sh', '-c', 'echo held; exec sleep 60'], { detached: true })
  try {
    await new Promise((resolve) => holder.stdout.once('data', resolve))
    await work(holder.pid ?? 0)
  } finally {
    process.kill(-(holder.pid ?? 0), 'SIGKILL')
  }
}

it.skipIf(why !== '')(`doctor finds the writing process${why}`, async () => {
  expect((await writerOf(dir)).finding).toMatchObject({
    in_force: 'no',
    found: 'no process has the ledger open',
  })
  await writeFile(join(dir, 'lock'), `${2 ** 31 - 1}\n`)
  expect((await writerOf(dir)).finding.found).toBe('no process has the ledger open')
  for (const locked of [dir, join(dir, 'lock')])
    await whileLocked(locked, async (pid) => expect((await writerOf(dir)).pid).toBe(pid))
  await rm(join(dir, 'lock'))
  await whileLocked(dir, async (pid) => expect((await writerOf(dir)).pid).toBe(pid))
})

it.skipIf(why !== '')(`doctor does not follow a lock file that is a link${why}`, async () => {
  await symlink('/dev/zero', join(dir, 'lock'))
  await whileLocked('/dev/zero', async () => {
    await expect(writerOf(dir)).rejects.toMatchObject({ code: 'ELOOP' })
  })
})
