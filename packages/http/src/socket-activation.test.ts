import { expect, it } from 'vitest'
import { inheritedSocket } from './socket-activation.ts'

it.each([
  [{}, 'expected LISTEN_PID and LISTEN_FDS'],
  [{ LISTEN_PID: '18', LISTEN_FDS: '1' }, 'expected LISTEN_PID and LISTEN_FDS'],
  [{ LISTEN_PID: '17', LISTEN_FDS: '2' }, 'expected one socket (LISTEN_FDS=1), found 2'],
])('the server takes no descriptor that is not passed to this process: %o', (env, message) => {
  expect(() => inheritedSocket(env, 17)).toThrow(`--listen systemd: ${message}`)
})
