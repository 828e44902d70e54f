/** Helpers for tests with psdb-host. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { PsdbHostError } from './errors.ts'
import { findPsdbHost, openPsdbProcess, type PsdbProcess, type PsdbProcessOptions } from './process.ts'

/** Makes a new directory, which `remove` deletes. */
export function temporaryDirectory(): { path: string; remove: () => void } {
  const path = mkdtempSync(join(tmpdir(), 'psdb-host-'))
  return { path, remove: () => rmSync(path, { recursive: true, force: true }) }
}

/** The functions that a script for openFake() can call: `hello()`, `frame()`, `message()`, `onRequest()`. */
const PRELUDE = `
const out = (bytes) => process.stdout.write(bytes)
const message = (...words) => {
  const bytes = Buffer.alloc(64)
  words.forEach((word, i) => bytes.writeUInt32LE(word, i * 4))
  return bytes
}
const frame = (channel, message, data = Buffer.alloc(0), length = data.length) => {
  const head = Buffer.alloc(8)
  head.writeUInt32LE(channel, 0)
  head.writeUInt32LE(length, 4)
  return Buffer.concat([head, message, data])
}
const hello = (protocol = 1, state = 1, text = '') => out(frame(0xffffffff, message(protocol, state), Buffer.from(text)))
const answer = (request, status = 0) => {
  const bytes = Buffer.alloc(64)
  request.copy(bytes, 0, 0, 4)
  bytes[4] = request[4] | 0x80
  bytes[5] = status
  request.copy(bytes, 32, 40, 44)
  return bytes
}
let input = Buffer.alloc(0)
const onRequest = (take) => process.stdin.on('data', (chunk) => {
  input = Buffer.concat([input, chunk])
  while (input.length >= 72 && input.length >= 72 + input.readUInt32LE(4)) {
    const end = 72 + input.readUInt32LE(4)
    take(input.subarray(8, 72), input.readUInt32LE(0), input.subarray(72, end))
    input = input.subarray(end)
  }
})
process.stdin.resume()
`

/** Opens a process that runs the given script in place of psdb-host. */
export function openFake(
  dir: string,
  script: string,
  options: Partial<PsdbProcessOptions> = {},
): Promise<PsdbProcess> {
  const path = join(dir, 'fake.mjs')
  writeFileSync(path, PRELUDE + script)
  const tenants = ['acme', 'other']
  return openPsdbProcess({
    disk: join(dir, 'disk.img'),
    tenants,
    binary: process.execPath,
    args: [path],
    ...options,
  })
}

/** The reason why tests of the real process are skipped; empty if psdb-host is built. */
export const missing: string = isBuilt() ? '' : ' (skipped: psdb-host is not built)'

function isBuilt(): boolean {
  try {
    return findPsdbHost() !== ''
  } catch (error) {
    if (error instanceof PsdbHostError) return false
    throw error
  }
}

/** A disk image in a new directory, and its process; by default with one tenant, `acme`. */
export class TestDisk {
  readonly dir: { path: string; remove: () => void } = temporaryDirectory()
  readonly path: string = join(this.dir.path, 'disk.img')
  process: PsdbProcess | undefined

  /** Closes the image's process, if any, and starts another. */
  async open(options: Partial<PsdbProcessOptions> = {}): Promise<PsdbProcess> {
    await this.process?.close()
    const defaults = { disk: this.path, size: 64 * 1024 * 1024, tenants: ['acme'] }
    this.process = await openPsdbProcess({ ...defaults, ...options })
    return this.process
  }

  /** SIGKILL. */
  async kill(): Promise<void> {
    this.process?.kill()
    await this.process?.exited
    this.process = undefined
  }

  async remove(): Promise<void> {
    await this.kill()
    this.dir.remove()
  }
}
