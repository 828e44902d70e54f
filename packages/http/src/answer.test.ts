import { once } from 'node:events'
import { connect } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { expect, it } from 'vitest'
import { sendAnswer } from './answer.ts'
import { startListener } from './listener.ts'

it('the server closes the connection of a rejected body only after the client has stopped sending it', async () => {
  const server = await startListener({ host: '127.0.0.1', port: 0 }, {}, (raw, out) =>
    sendAnswer(raw, out, { status: 413, headers: {}, body: 'no' }),
  )
  const socket = connect(Number(new URL(server.url).port), '127.0.0.1')
  const errors: unknown[] = []
  socket.on('error', (error) => errors.push(error))
  let got = ''
  let isClosed = false
  socket.on('data', (bytes) => (got += bytes.toString()))
  socket.on('close', () => (isClosed = true))
  const pieces = 12
  socket.write(`POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: ${pieces + 1}\r\n\r\n`)
  for (let i = 0; i < pieces; i++) {
    socket.write('x')
    await sleep(150)
  }
  expect([isClosed, errors]).toEqual([false, []])
  // Without the last byte.
  await once(socket, 'close')
  expect(got).toMatch(/^HTTP\/1\.1 413 [^]*\r\nconnection: close\r\n[^]*no$/i)
  await server.stop(0)
})
