import { spawn } from 'node:child_process'
import { mkdtemp, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it, vi } from 'vitest'
import { writerOf } from './process.ts'

const why = process.platform === 'linux' ? '' : ' (skipped: not Linux)'

let dir: string
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'service-fs-'))
})
afterEach(() => rm(dir, { recursive: true }))

/** Does `work` while somebody has locked the file. */
async function whileLocked(path: string, work: () => Promise<void>): Promise<void> {
  const holder = spawn('flock', [path, 'sh', '-c', 'echo held; exec sleep 60'], { detached: true })
  try {
    await new Promise((resolve) => holder.stdout.once('data', resolve))
    await work()
  } finally {
    process.kill(-(holder.pid ?? 0), 'SIGKILL')
  }
}

it.skipIf(why !== '')(`tells who writes${why}`, async () => {
  const lock = join(dir, 'lock')
  expect((await writerOf(dir)).finding.found).toContain('never begun')
  await writeFile(lock, '4711\n')
  expect((await writerOf(dir)).finding.found).toContain('nobody writes')
  await whileLocked(lock, () => vi.waitFor(async () => expect((await writerOf(dir)).pid).toBe(4711)))
})

it.skipIf(why !== '')(`a lock that is a link is not followed to its end${why}`, async () => {
  await symlink('/dev/zero', join(dir, 'lock'))
  await whileLocked('/dev/zero', async () => {
    await expect(writerOf(dir)).rejects.toMatchObject({ code: 'ELOOP' })
  })
})
