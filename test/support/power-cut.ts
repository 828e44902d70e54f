/**
 * Computes possible contents of a disk after a power cut from the real operations of a process on one directory. strace records
 * each write, sync, rename and removal; a test replays them up to any moment and drops part of the unsynced data.
 */
import { spawnSync } from 'node:child_process'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import type { Random } from '@service-fs/storage/random'

const PAGE = 4096

/** One call that changed files or made them durable. `started`: the call has begun but has not returned yet. */
interface Step {
  call: string
  path: string
  to?: string
  data?: Buffer
  at?: number
  flags?: string
  length?: number
  started?: boolean
}

/** Whether strace is installed and may trace a process here. */
export function hasStrace(): boolean {
  return spawnSync('strace', ['-f', '-o', '/dev/null', 'true']).status === 0
}

/** Runs a Node.js script under strace and returns its operations on files directly in `dir`. */
export function traced(script: string, args: readonly string[], dir: string, trace: string): Step[] {
  const calls =
    'write,pwrite64,writev,pwritev,fsync,fdatasync,rename,renameat,renameat2,openat,open,creat,unlink,unlinkat,ftruncate'
  const flags = ['-f', '-y', '-xx', '-s', '100000000', '-o', trace, '-e', `trace=${calls}`]
  const { status, stderr } = spawnSync('strace', [...flags, process.execPath, script, ...args], {
    env: { ...process.env, UV_USE_IO_URING: '0' },
    encoding: 'utf8',
    timeout: 100_000,
  })
  if (status !== 0) throw new Error(`the traced process ended with status ${status}: ${stderr}`)
  return steps(readFileSync(trace, 'latin1'), dir)
}

const LINE = /^(\d+) +(?:<\.\.\. )?(\w+)(?: resumed>|\()(.*?)(?: +<unfinished \.\.\.>|\) += (-?\d+).*)?$/

/** Parses strace's lines; failed calls change nothing. */
function steps(text: string, dir: string): Step[] {
  const found: Step[] = []
  const begun = new Map<string, string>()
  for (const line of text.split('\n')) {
    const match = LINE.exec(line)
    if (match === null) continue
    const [, pid = '', call = '', own = '', result] = match
    const args = (begun.get(pid) ?? '') + own
    const step = stepOf(call, args, Number(result))
    const isAbout =
      step !== undefined && [step.path, step.to ?? ''].some((path) => dirname(path) === dir || path === dir)
    if (result === undefined) {
      begun.set(pid, args)
      if (isAbout && call.endsWith('sync')) found.push({ ...step, started: true })
      continue
    }
    begun.delete(pid)
    if (isAbout && Number(result) >= 0) found.push(step)
  }
  return found
}

const bytesOf = (hex: string): Buffer => Buffer.from(hex.replaceAll('\\x', ''), 'hex')
const strings = (args: string): string[] =>
  [...args.matchAll(/"((?:\\x[0-9a-f]{2})*)"/g)].map(([, hex]) => bytesOf(hex ?? '').toString('latin1'))

function stepOf(call: string, args: string, result: number): Step | undefined {
  const fdPath = /^\d+<((?:\\x[0-9a-f]{2})*)>/.exec(args)?.[1]
  const path = fdPath === undefined ? '' : bytesOf(fdPath).toString('latin1')
  const named = strings(args)
  if (/^(?:open|openat|creat)$/.test(call)) return { call: 'open', path: named[0] ?? '', flags: args }
  if (call.startsWith('rename')) return { call: 'rename', path: named[0] ?? '', to: named[1] ?? '' }
  if (call.startsWith('unlink')) return { call: 'unlink', path: named[0] ?? '' }
  if (call === 'ftruncate') return { call, path, length: Number(/, (\d+)/.exec(args)?.[1]) }
  if (call.endsWith('sync')) return { call: 'sync', path }
  if (!call.includes('write')) return undefined
  const data = Buffer.from(named.join(''), 'latin1').subarray(0, Math.max(0, result))
  const at = call.startsWith('p') ? Number(/, (\d+)$/.exec(args)?.[1]) : undefined
  return at === undefined ? { call: 'write', path, data } : { call: 'write', path, data, at }
}

class File {
  bytes: Buffer = Buffer.alloc(0)
  durable: Buffer = Buffer.alloc(0)
  /** The file's bytes at the start of a sync that has not returned. */
  begun: Buffer | undefined
  position = 0

  write(data: Buffer, at: number | undefined): void {
    const from = at ?? this.position
    const grown = Buffer.alloc(Math.max(this.bytes.length, from + data.length))
    this.bytes.copy(grown)
    data.copy(grown, from)
    this.bytes = grown
    if (at === undefined) this.position = from + data.length
  }

  /** The disk's contents when each unsynced page survives with the given probability. */
  cut(kept: number, random: Random): Buffer {
    const { bytes, durable } = this
    if (bytes.equals(durable)) return bytes
    const sizes = [
      durable.length,
      bytes.length,
      bytes.length,
      durable.length + random.below(Math.max(1, bytes.length - durable.length)),
    ]
    const image = Buffer.alloc(sizes[random.below(sizes.length)] ?? 0)
    durable.copy(image)
    for (let at = 0; at < image.length; at += PAGE)
      if (random.below(1000) < kept * 1000) bytes.copy(image, at, at, Math.min(at + PAGE, image.length))
    return image
  }
}

/** A directory during writes: names and bytes as processes see them, and the durable ones. */
export class Disk {
  #names = new Map<string, File>()
  #durable = new Map<string, File>()
  #changes: ((names: Map<string, File>) => void)[] = []
  readonly #dir: string

  constructor(dir: string) {
    this.#dir = dir
  }

  apply(step: Step): void {
    const file = this.#names.get(basename(step.path))
    if (step.call === 'sync' && step.path === this.#dir) {
      if (step.started === true) return
      for (const change of this.#changes) change(this.#durable)
      this.#changes = []
    } else if (step.call === 'sync' && file !== undefined) {
      if (step.started === true) file.begun = file.bytes
      else {
        file.durable = file.begun ?? file.bytes
        file.begun = undefined
      }
    } else if (step.call === 'open') this.#open(step, file)
    else if (step.call === 'write' && step.data !== undefined) file?.write(step.data, step.at)
    else if (step.call === 'ftruncate' && file !== undefined) {
      const cut = Buffer.alloc(step.length ?? 0)
      file.bytes.copy(cut)
      file.bytes = cut
    } else if (step.call === 'unlink') this.#change((names) => void names.delete(basename(step.path)))
    else if (step.call === 'rename' && file !== undefined) {
      this.#change((names) => {
        names.delete(basename(step.path))
        names.set(basename(step.to ?? ''), file)
      })
    }
  }

  #open(step: Step, file: File | undefined): void {
    const flags = step.flags ?? ''
    const name = basename(step.path)
    if (file === undefined && flags.includes('O_CREAT')) {
      const made = new File()
      this.#change((names) => void names.set(name, made))
    } else if (file !== undefined) {
      if (flags.includes('O_TRUNC')) file.bytes = Buffer.alloc(0)
      if (/O_WRONLY|O_RDWR/.test(flags)) file.position = flags.includes('O_APPEND') ? file.bytes.length : 0
    }
  }

  #change(change: (names: Map<string, File>) => void): void {
    change(this.#names)
    this.#changes.push(change)
  }

  /** Writes the result of a power cut into `dir`: name changes up to a random one, pages with the probability `kept`. */
  writeCut(dir: string, kept: number, random: Random): void {
    const names = new Map(this.#durable)
    for (const change of this.#changes.slice(0, random.below(this.#changes.length + 1))) change(names)
    mkdirSync(dir, { recursive: true })
    for (const [name, file] of names) writeFileSync(join(dir, name), file.cut(kept, random))
  }
}
