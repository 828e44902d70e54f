/** Which process has the lock of a directory: for messages, never to decide anything. */
import { constants, readdirSync, readFileSync, statSync, type Stats } from 'node:fs'
import { open } from 'node:fs/promises'

/**
 * The pid of the process that has locked `dir` or `dir/lock`. On Linux /proc says it, as far as it may be read; where it does not,
 * it is the pid that the file `lock` names.
 */
export async function lockHolder(dir: string): Promise<number | undefined> {
  const named = await namedIn(`${dir}/lock`)
  const locked = [dir, `${dir}/lock`].map((path) => statSync(path, { throwIfNoEntry: false }))
  if (named !== undefined && holdsOne(named, locked)) return named
  return processes().find((pid) => holdsOne(pid, locked)) ?? named
}

/** The pid in a lock file, if it is one. */
async function namedIn(path: string): Promise<number | undefined> {
  const flags = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK
  const file = await open(path, flags).catch(() => undefined)
  if (file === undefined) return undefined
  try {
    const { buffer, bytesRead } = await file.read(Buffer.alloc(16), 0, 16, 0)
    const pid = /^(\d{1,10})\n/.exec(buffer.toString('latin1', 0, bytesRead))?.[1]
    return pid === undefined ? undefined : Number(pid)
  } catch {
    return undefined
  } finally {
    await file.close()
  }
}

function processes(): number[] {
  return namesIn('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
}

/** Whether a descriptor of the process has a flock(2) on one of these files: proc(5), /proc/pid/fdinfo. */
function holdsOne(pid: number, files: readonly (Stats | undefined)[]): boolean {
  return namesIn(`/proc/${pid}/fdinfo`).some((fd) => {
    try {
      if (!/^lock:.* FLOCK /m.test(readFileSync(`/proc/${pid}/fdinfo/${fd}`, 'latin1'))) return false
      const { dev, ino } = statSync(`/proc/${pid}/fd/${fd}`)
      return files.some((file) => file?.dev === dev && file.ino === ino)
    } catch {
      // It was closed meanwhile.
      return false
    }
  })
}

/** None where there is no such directory, or where it may not be read. */
function namesIn(dir: string): string[] {
  try {
    return readdirSync(dir)
  } catch {
    return []
  }
}
