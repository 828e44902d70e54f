/** What stands where a unix socket is to be. */
import { lstat, unlink } from 'node:fs/promises'
import { connect } from 'node:net'

/** Removes the socket that a killed process left. @throws an error of listen: one that is answered, and what is no socket, stay */
export async function clearStaleSocket(path: string): Promise<void> {
  try {
    if (!(await lstat(path)).isSocket()) throw inTheWay('is there, and is no socket')
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return
    throw error
  }
  const isAnswered = await new Promise<boolean>((resolve) => {
    const socket = connect(path, () => {
      socket.destroy()
      resolve(true)
    })
    socket.once('error', () => resolve(false))
  })
  if (isAnswered) throw inTheWay('another process listens there')
  await unlink(path)
}

function inTheWay(message: string): Error {
  return Object.assign(new Error(message), { syscall: 'listen' })
}
