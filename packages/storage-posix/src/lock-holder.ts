/** Finds the process that holds the lock of a directory. The result is for messages only. */
import { constants, readdirSync, readFileSync, statSync, type Stats } from 'node:fs'
import { open } from 'node:fs/promises'

/**
 * Returns the pid of the process that has locked `dir` or `dir/lock`: from /proc on Linux, as far as it is readable, else from the
 * file `lock`.
 */
export async function lockHolder(dir: string): Promise<number | undefined> {
  const named = await namedIn(`${dir}/lock`)
  const locked = [dir, `${dir}/lock`].map((path) => statSync(path, { throwIfNoEntry: false }))
  if (named !== undefined && holdsOne(named, locked)) return named
  return processes().find((pid) => holdsOne(pid, locked)) ?? named
}

/** Returns the pid in a lock file; undefined when it has none. */
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

/** Reports whether a descriptor of the process has a flock(2) on one of the files: proc(5), /proc/pid/fdinfo. */
function holdsOne(pid: number, files: readonly (Stats | undefined)[]): boolean {
  return namesIn(`/proc/${pid}/fdinfo`).some((fd) => {
    try {
      if (!/^lock:.* FLOCK /m.test(readFileSync(`/proc/${pid}/fdinfo/${fd}`, 'latin1'))) return false
      const { dev, ino } = statSync(`/proc/${pid}/fd/${fd}`)
      return files.some((file) => file?.dev === dev && file.ino === ino)
    } catch {
      // The descriptor was closed meanwhile.
      return false
    }
  })
}

/** Returns the names in a directory; none when it does not exist or is not readable. */
function namesIn(dir: string): string[] {
  try {
    return readdirSync(dir)
  } catch {
    return []
  }
}
