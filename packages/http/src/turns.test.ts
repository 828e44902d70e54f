import { EventEmitter } from 'node:events'
import type { IncomingMessage, Server } from 'node:http'
import { expect, it } from 'vitest'
import { takeTurns } from './turns.ts'

/** A connection without a network. */
class Peer extends EventEmitter {
  destroyed = false
}

/** A response that ends when the test says so. */
class Out extends EventEmitter {
  shouldKeepAlive = true
}

function watched() {
  const server = new EventEmitter()
  const seen: string[] = []
  takeTurns(server as unknown as Server, {
    busy: () => seen.push('busy'),
    rested: () => seen.push('rested'),
    begin: (raw) => {
      seen.push(`begin ${raw.url}`)
      if (raw.url === 'throws') throw new Error('it cannot begin')
    },
    report: (error) => seen.push(error instanceof Error ? error.message : 'another error'),
  })
  const arrive = (): Peer => {
    const peer = new Peer()
    server.emit('connection', peer)
    return peer
  }
  const ask = (socket: Peer, url: string): Out => {
    const out = new Out()
    const raw = { socket, url, complete: true } as unknown as IncomingMessage
    server.emit('request', raw, out)
    return out
  }
  return { seen, arrive, ask }
}

const iterations = async (count: number): Promise<void> => {
  for (let i = 0; i < count; i++) await new Promise((go) => void setImmediate(go))
}

it('the server counts a connection as busy while its request waits for new connections', async () => {
  const { seen, arrive, ask } = watched()
  const out = ask(arrive(), 'one')
  expect(seen).toEqual(['busy'])
  await iterations(3)
  expect(seen).toEqual(['busy', 'begin one'])
  out.emit('close')
  expect(seen).toEqual(['busy', 'begin one', 'rested'])
})

it('the server drops the waiting request of a connection that is destroyed', async () => {
  const { seen, arrive, ask } = watched()
  const [evicted, other] = [arrive(), arrive()]
  ask(evicted, 'one')
  ask(other, 'two')
  evicted.destroyed = true
  await iterations(3)
  expect(seen).toEqual(['busy', 'busy', 'begin two'])
})

it('the server counts a connection as busy until its last pipelined request is answered', async () => {
  const { seen, arrive, ask } = watched()
  const peer = arrive()
  const outs = [ask(peer, 'one'), ask(peer, 'two')]
  await iterations(3)
  outs[0]?.emit('close')
  expect(seen).toEqual(['busy', 'begin one', 'begin two'])
  outs[1]?.emit('close')
  expect(seen.at(-1)).toBe('rested')
})

it('the server begins the waiting requests of other connections when one cannot begin', async () => {
  const { seen, arrive, ask } = watched()
  ask(arrive(), 'throws')
  ask(arrive(), 'two')
  await iterations(3)
  expect(seen).toEqual(['busy', 'busy', 'begin throws', 'it cannot begin', 'begin two'])
})
