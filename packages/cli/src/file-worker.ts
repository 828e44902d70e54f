/** The program of a worker thread: reads groups of small files. */
import { closeSync, fstatSync, openSync, readSync } from 'node:fs'
import { parentPort } from 'node:worker_threads'
import { isRecent, OPEN_FLAGS, sameState } from './steady-file.ts'

/** The paths of the files to read, each with a NUL at its end. */
export type FileGroup = Uint8Array

/** The content of files, one after the other. */
export interface GroupContent {
  bytes: Uint8Array
  /** For each file, the end of its content, or -1 when the caller has to read the file. */
  ends: Int32Array
}

/** The maximum number of bytes of a group. The caller reads the files that do not fit. */
const ROOM = 1 << 20
const buffer = new Uint8Array(ROOM)

/**
 * Reads a whole regular file into `buffer` at the offset `at`, and returns the offset of its end. Returns -1 when the file does not fit,
 * changes meanwhile or has changed recently, or on any error.
 */
function readSmall(path: Buffer, at: number): number {
  let fd: number
  try {
    fd = openSync(path, OPEN_FLAGS)
  } catch {
    return -1
  }
  try {
    const before = fstatSync(fd, { bigint: true })
    // Tries to read one byte beyond the size, to notice that the file has grown.
    const end = at + Number(before.size)
    if (!before.isFile() || end >= ROOM || isRecent(before)) return -1
    let done = at
    while (done <= end) {
      const read = readSync(fd, buffer, done, end + 1 - done, done - at)
      if (read === 0) break
      done += read
    }
    return done === end && sameState(before, fstatSync(fd, { bigint: true })) ? end : -1
  } catch {
    return -1
  } finally {
    closeSync(fd)
  }
}

/** Returns the paths in a group. */
function pathsIn(group: FileGroup): Buffer[] {
  const all = Buffer.from(group.buffer, group.byteOffset, group.byteLength)
  const paths: Buffer[] = []
  for (let start = 0; start < all.length;) {
    const end = all.indexOf(0, start)
    paths.push(all.subarray(start, end))
    start = end + 1
  }
  return paths
}

parentPort?.on('message', (group: FileGroup) => {
  const paths = pathsIn(group)
  const ends = new Int32Array(paths.length)
  let at = 0
  for (const [i, path] of paths.entries()) {
    const end = readSmall(path, at)
    ends[i] = end
    if (end >= 0) at = end
  }
  const content: GroupContent = { bytes: buffer.slice(0, at), ends }
  parentPort?.postMessage(content, [content.bytes.buffer as ArrayBuffer, ends.buffer])
})
