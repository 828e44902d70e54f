import { spawnSync } from 'node:child_process'
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { clearStaleSocket } from './stale-socket.ts'

const dir = mkdtempSync(join(tmpdir(), 'service-fs-socket-'))
afterAll(() => rmSync(dir, { recursive: true }))

describe('clearStaleSocket', () => {
  it('does nothing when no file exists', async () => {
    await clearStaleSocket(join(dir, 'nothing'))
  })

  it('removes the socket of a killed process', async () => {
    const path = join(dir, 'left')
    const script = `require('net').createServer().listen(process.argv[1], () => process.kill(process.pid, 'SIGKILL'))`
    spawnSync(process.execPath, ['-e', script, path])
    expect(existsSync(path)).toBe(true)
    await clearStaleSocket(path)
    expect(existsSync(path)).toBe(false)
  })

  it('keeps a socket with a listener, and files that are not sockets', async () => {
    const path = join(dir, 'answered')
    const server = createServer()
    await new Promise<void>((resolve) => void server.listen(path, resolve))
    await expect(clearStaleSocket(path)).rejects.toThrow('another process listens on it')
    server.close()
    writeFileSync(join(dir, 'file'), '')
    await expect(clearStaleSocket(join(dir, 'file'))).rejects.toThrow('the file exists and is not a socket')
    expect(existsSync(join(dir, 'file'))).toBe(true)
  })
})
