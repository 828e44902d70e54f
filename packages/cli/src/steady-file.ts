/** Reading a file whole, as it was at one moment, while other programs may write to it. */
import type { BigIntStats } from 'node:fs'
import { constants } from 'node:fs'
import { open, type FileHandle } from 'node:fs/promises'
import { setTimeout as sleep } from 'node:timers/promises'
import { ClientError } from '@service-fs/client/errors'

/** Milliseconds between two reads of a file that changed meanwhile. */
const PAUSES = [50, 100, 200]

/**
 * Milliseconds for which a file must have been left alone. Two writes may leave it with the same times, which the kernel takes from a
 * clock that ticks each 1 to 10 ms; and a program in the middle of its writing may pause: the kernel stops one that writes faster than
 * the disk for 200 ms at a time. Some file systems keep whole seconds, FAT every other one.
 */
const QUIET = 300
const SECONDS_QUIET = 2_100

/** The state of an open file, that differs when somebody wrote to it. */
export type FileState = Pick<BigIntStats, 'size' | 'mtimeNs' | 'ctimeNs' | 'ino' | 'dev'>

/**
 * The bytes of a regular file, not through a symbolic link. It is read again, three times at most, where it changed meanwhile: its
 * size, its times, or itself. Where the times can't tell, it is read twice and must have the same bytes. What this can't notice is a
 * program that writes through a memory map which it wrote to before.
 * @throws ClientError `file` when it is larger than `limit` bytes, changed each time, or is no regular file; a system error
 */
export async function readSteady(path: string | Buffer, limit: number): Promise<Buffer> {
  for (let tries = 0; ; tries++) {
    // Without O_NONBLOCK a FIFO put in the file's place would hold the program.
    const handle = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK)
    try {
      const bytes = await attempt(handle, limit)
      if (bytes !== undefined) return bytes
    } finally {
      await handle.close()
    }
    const pause = PAUSES[tries]
    if (pause === undefined)
      throw new ClientError(
        'file',
        `changed each of the ${tries + 1} times that it was read: another program writes to it`,
      )
    await sleep(pause)
  }
}

/** The bytes, or undefined when the file changed while they were read. */
async function attempt(handle: FileHandle, limit: number): Promise<Buffer | undefined> {
  const before = await settled(() => handle.stat({ bigint: true }))
  if (!before.isFile()) throw new ClientError('file', 'expected a regular file, found something else')
  const bytes = await content(handle, limit)
  if (isRecent(before) || before.size !== BigInt(bytes.length)) {
    // The times may not tell, or the size is none (in /proc): two reads have to agree.
    await sleep(QUIET)
    if (!bytes.equals(await content(handle, limit))) return undefined
  }
  return sameState(before, await handle.stat({ bigint: true })) ? bytes : undefined
}

/** The file from its beginning to its end. */
async function content(handle: FileHandle, limit: number): Promise<Buffer> {
  const chunks: Buffer[] = []
  let size = 0
  for (;;) {
    const expected = (await handle.stat()).size - size
    const chunk = Buffer.allocUnsafe(Math.min(Math.max(expected + 1, 4_096), limit + 1 - size))
    const { bytesRead } = await handle.read(chunk, 0, chunk.length, size)
    if (bytesRead === 0) break
    chunks.push(chunk.subarray(0, bytesRead))
    size += bytesRead
    if (size > limit) throw tooLarge(limit)
  }
  return chunks.length === 1 ? (chunks[0] as Buffer) : Buffer.concat(chunks)
}

function tooLarge(limit: number): ClientError {
  return new ClientError('file', `larger than the ledger takes: at most ${limit} bytes`)
}

/** Whether nothing was written to a file between its two states. */
export function sameState(a: FileState, b: FileState): boolean {
  return (
    a.size === b.size &&
    a.mtimeNs === b.mtimeNs &&
    a.ctimeNs === b.ctimeNs &&
    a.ino === b.ino &&
    a.dev === b.dev
  )
}

/** The state of a file once it was left alone for a while. It waits for that once. */
export async function settled(stat: () => Promise<BigIntStats>): Promise<BigIntStats> {
  const first = await stat()
  if (!first.isFile() || !isRecent(first)) return first
  await sleep(quietOf(first))
  return stat()
}

/** Each write sets the ctime, which no program can choose. */
function isRecent(state: FileState): boolean {
  return Number(state.ctimeNs / 1_000_000n) > Date.now() - quietOf(state)
}

function quietOf({ ctimeNs }: FileState): number {
  return ctimeNs % 1_000_000_000n === 0n ? SECONDS_QUIET : QUIET
}
