// Runs code in another Node.js process through the inspector that SIGUSR1 starts.
import { WebSocket } from 'undici'
import { sleep } from '../support/process.ts'

const INSPECTOR = 'http://127.0.0.1:9229/json/list'

/** Runs an endless script in that process, to block its event loop. */
export async function runIn(pid: number, script: string): Promise<void> {
  process.kill(pid, 'SIGUSR1')
  const socket = new WebSocket(await debuggerOf(pid))
  await new Promise((resolve) => socket.addEventListener('open', resolve, { once: true }))
  const found = new Promise<string>((resolve) =>
    socket.addEventListener('message', ({ data }) => resolve(String(data)), { once: true }),
  )
  socket.send(JSON.stringify({ id: 1, method: 'Runtime.evaluate', params: { expression: 'process.pid' } }))
  if (!(await found).includes(`"value":${pid}`))
    throw new Error('another process uses the inspector port 9229')
  socket.send(JSON.stringify({ id: 2, method: 'Runtime.evaluate', params: { expression: script } }))
}

async function debuggerOf(pid: number): Promise<string> {
  for (let tries = 0; ; tries++) {
    try {
      const [target] = (await (await fetch(INSPECTOR)).json()) as { webSocketDebuggerUrl: string }[]
      if (target !== undefined) return target.webSocketDebuggerUrl
    } catch (error) {
      if (tries > 100) throw new Error(`process ${pid} did not open its inspector`, { cause: error })
    }
    await sleep(50)
  }
}
