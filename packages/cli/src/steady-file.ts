/** Reads a whole file in the state that it had at one moment, although other programs may write to it. */
import { close, constants, fstat, open, read, type BigIntStats } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { promisify } from 'node:util'
import { ClientError } from '@service-fs/client/errors'

// Use file descriptors: a FileHandle takes twice the processor time, which matters for hundreds of thousands of small files.
const opened = promisify(open)
const statOf = promisify(fstat)
const readInto = promisify(read)
const closed = promisify(close)

/** The flags with which a file is opened. Without O_NONBLOCK, opening a FIFO that replaced the file would block. */
export const OPEN_FLAGS: number = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK

/** The pauses, in milliseconds, before a file that changed is read again. */
const PAUSES = [50, 100, 200]

/**
 * The number of milliseconds for which a file must not have changed. Two writes may set the same times, because the kernel's clock for file
 * times ticks every 1 to 10 ms. A program may also pause between writes: the kernel stops a program that writes faster than the disk for up
 * to 200 ms. Some file systems store times in whole seconds, and FAT in steps of two seconds.
 */
const QUIET = 300
const SECONDS_QUIET = 2_100

/** The state of an open file. A write changes it. */
export type FileState = Pick<BigIntStats, 'size' | 'mtimeNs' | 'ctimeNs' | 'ino' | 'dev'>

/**
 * Reads a regular file, and does not follow a symbolic link. Reads it again, at most three times, if its size, its times or its
 * inode changed meanwhile. If the file changed so recently that its times may not show another change, reads it twice and compares the
 * content. Can't detect repeated writes of a program through the same memory map.
 * @throws ClientError `file` when the file is larger than `limit` bytes, changed each time, or is not regular; a system error
 */
export async function readSteady(path: string | Buffer, limit: number): Promise<Buffer> {
  for (let tries = 0; ; tries++) {
    const fd = await opened(path, OPEN_FLAGS)
    try {
      const bytes = await attempt(fd, limit)
      if (bytes !== undefined) return bytes
    } finally {
      await closed(fd)
    }
    const pause = PAUSES[tries]
    if (pause === undefined)
      throw new ClientError('file', `another program changed it during each of ${tries + 1} reads`)
    await sleep(pause)
  }
}

/** Reads a file once. Returns undefined when it changed meanwhile. */
async function attempt(fd: number, limit: number): Promise<Buffer | undefined> {
  const before = await settled(() => statOf(fd, { bigint: true }))
  if (!before.isFile()) throw new ClientError('file', 'expected a regular file, found something else')
  const bytes = await content(fd, Number(before.size), limit)
  if (isRecent(before) || before.size !== BigInt(bytes.length)) {
    // The times may not show a change, or the reported size may be wrong (in /proc), so compare two reads.
    await sleep(QUIET)
    if (!bytes.equals(await content(fd, Number(before.size), limit))) return undefined
  }
  return sameState(before, await statOf(fd, { bigint: true })) ? bytes : undefined
}

/** Reads an open file from its start to its end. `expected` is its size according to its state. */
async function content(fd: number, expected: number, limit: number): Promise<Buffer> {
  const chunks: Buffer[] = []
  let size = 0
  for (;;) {
    const wanted = Math.min(Math.max(expected - size + 1, 4_096), limit + 1 - size)
    const chunk = Buffer.allocUnsafe(wanted)
    const { bytesRead } = await readInto(fd, chunk, 0, wanted, size)
    if (bytesRead === 0) break
    chunks.push(chunk.subarray(0, bytesRead))
    size += bytesRead
    if (size > limit) throw tooLarge(limit)
    // If a file reports its size, a read that returns fewer bytes than requested has reached the end. A file in /proc may have more bytes.
    if (size === expected && bytesRead < wanted) break
  }
  return chunks.length === 1 ? (chunks[0] as Buffer) : Buffer.concat(chunks)
}

function tooLarge(limit: number): ClientError {
  return new ClientError('file', `expected at most ${limit} bytes, found more`)
}

/** Reports whether two states prove that nobody wrote to the file in between. */
export function sameState(a: FileState, b: FileState): boolean {
  return (
    a.size === b.size &&
    a.mtimeNs === b.mtimeNs &&
    a.ctimeNs === b.ctimeNs &&
    a.ino === b.ino &&
    a.dev === b.dev
  )
}

/** Returns the state of a file. If the file changed recently, waits once before it takes the state. */
export async function settled(stat: () => Promise<BigIntStats>): Promise<BigIntStats> {
  const first = await stat()
  if (!first.isFile() || !isRecent(first)) return first
  await sleep(quietOf(first))
  return stat()
}

/** Reports whether a file changed recently, by its ctime. Each write sets the ctime, and no program can choose it. */
export function isRecent(state: FileState): boolean {
  return Number(state.ctimeNs / 1_000_000n) > Date.now() - quietOf(state)
}

function quietOf({ ctimeNs }: FileState): number {
  return ctimeNs % 1_000_000_000n === 0n ? SECONDS_QUIET : QUIET
}
