/** Removes a stale unix socket before a new one is created. */
import { codeOf } from '@service-fs/format/errors'
import { lstat, unlink } from 'node:fs/promises'
import { connect } from 'node:net'

/** Removes a socket that a killed process left behind. @throws Error with the syscall `listen`: another process listens there, or the file is not a socket */
export async function clearStaleSocket(path: string): Promise<void> {
  try {
    if (!(await lstat(path)).isSocket()) throw inTheWay('the file exists and is not a socket')
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return
    throw error
  }
  const isAnswered = await new Promise<boolean>((resolve) => {
    const socket = connect(path, () => {
      socket.destroy()
      resolve(true)
    })
    socket.once('error', () => resolve(false))
  })
  if (isAnswered) throw inTheWay('another process listens on it')
  await unlink(path)
}

function inTheWay(message: string): Error {
  return Object.assign(new Error(message), { syscall: 'listen' })
}
