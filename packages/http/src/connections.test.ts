import { EventEmitter } from 'node:events'
import type { Server } from 'node:http'
import type { Socket } from 'node:net'
import { expect, it } from 'vitest'
import { Connections, type ConnectionsConfig } from './connections.ts'
import { connectionsFor, openFilesLimit } from './open-files.ts'

/** A connection with addresses, a byte count and an end, but no network. */
class Peer extends EventEmitter {
  static count = 0
  readonly remotePort = Peer.count++
  bytesRead = 0
  destroyed = false
  readonly remoteAddress: string | undefined

  constructor(remoteAddress: string | undefined) {
    super()
    this.remoteAddress = remoteAddress
  }

  destroy(): void {
    this.destroyed = true
    queueMicrotask(() => this.emit('close'))
  }
}

function listening(config: ConnectionsConfig, firstByteMs?: number) {
  const told: string[] = []
  const connections = new Connections(config, {
    turnedAway: (what, why, address) => void told.push(`${what} ${why} ${address}`),
    ...(firstByteMs === undefined ? {} : { firstByteMs }),
  })
  const server = new EventEmitter()
  connections.watch(server as unknown as Server)
  const arrive = (address: string | undefined): Peer => {
    const peer = new Peer(address)
    server.emit('connection', peer)
    return peer
  }
  const began = (peer: Peer): void => connections.began(peer as unknown as Socket)
  const proved = (peer: Peer, subject?: string): void =>
    connections.proved(peer as unknown as Socket, subject)
  const rested = (peer: Peer): void => connections.rested(peer as unknown as Socket)
  return { connections, arrive, began, proved, rested, told }
}

const gone = (...peers: Peer[]): boolean[] => peers.map(({ destroyed }) => destroyed)

it('evicts the oldest unproven connection of the same address when its share is full', () => {
  const { arrive, began, proved, rested, told } = listening({ max: 100, perAddress: 3 })
  const other = arrive('192.0.2.1')
  const [first, second, third] = [arrive('192.0.2.2'), arrive('192.0.2.2'), arrive('192.0.2.2')]
  began(first)
  proved(first)
  rested(first)
  const fourth = arrive('192.0.2.2')
  expect(gone(other, first, second, third, fourth)).toEqual([false, false, true, false, false])
  expect(told).toEqual(['ended address 192.0.2.2'])
})

it('evicts an idle proven connection when all are proven, and never a busy one', () => {
  const { connections, arrive, began, proved, rested, told } = listening({ max: 2, perAddress: 2 })
  const [one, two] = [arrive('192.0.2.1'), arrive('192.0.2.2')]
  for (const peer of [one, two]) {
    began(peer)
    proved(peer)
  }
  rested(one)
  const three = arrive('192.0.2.3')
  began(three)
  proved(three)
  const four = arrive('192.0.2.4')
  expect(gone(one, two, three, four)).toEqual([true, false, false, true])
  expect(told).toEqual(['ended full 192.0.2.1', 'refused full 192.0.2.4'])
  expect(['silent', 'idle', 'busy'].map((state) => connections.count(state as 'busy'))).toEqual([0, 0, 2])
})

it('evicts from a subject that holds more than a quarter, over any addresses, when all connections are busy', () => {
  const { arrive, began, proved, told } = listening({ max: 8, perAddress: 4 })
  const use = (address: string, subject: string): Peer => {
    const peer = arrive(address)
    began(peer)
    proved(peer, subject)
    return peer
  }
  const crowd = Array.from({ length: 6 }, (_, i) => use(`192.0.2.${i}`, 'token:crowd'))
  const good = [use('198.51.100.1', 'token:good'), use('198.51.100.1', 'token:good')]
  const next = use('198.51.100.2', 'token:next')
  expect(gone(...good, next)).toEqual([false, false, false])
  expect(gone(...crowd)).toEqual([true, false, false, false, false, false])
  for (let i = 3; i < 9; i++) use(`198.51.100.${i}`, `token:${i}`)
  // With two of eight it holds no more than its share, so new connections are refused.
  expect(gone(...crowd)).toEqual([true, true, true, true, false, false])
  expect(told.filter((line) => line.startsWith('refused'))).toHaveLength(3)
  expect(gone(...good)).toEqual([false, false])
})

it('counts a connection for the subject of its latest credentials', () => {
  const { arrive, began, proved } = listening({ max: 4, perAddress: 4 })
  const [shared, ...own] = Array.from({ length: 4 }, (_, i) => arrive(`192.0.2.${i}`))
  for (const peer of [shared, ...own]) if (peer !== undefined) began(peer)
  if (shared === undefined) throw new Error('no connection')
  proved(shared, 'token:a')
  proved(shared, 'token:b')
  for (const [i, peer] of own.entries()) proved(peer, i === 0 ? 'token:c' : 'token:a')
  arrive('198.51.100.1')
  expect(gone(shared, ...own)).toEqual([false, false, true, false])
})

it('requests without credentials do not prove a connection: the oldest such connection is evicted before a newer silent one', () => {
  const { connections, arrive, began, rested } = listening({ max: 3, perAddress: 3 })
  const [answered, asking] = [arrive('192.0.2.1'), arrive('192.0.2.2')]
  for (const peer of [answered, asking]) began(peer)
  rested(answered)
  const slow = arrive('192.0.2.3')
  arrive('192.0.2.4')
  expect(gone(answered, asking, slow)).toEqual([true, false, false])
  // It was evicted: later events change nothing.
  began(answered)
  expect(connections.count('busy')).toBe(1)
  arrive('192.0.2.5')
  expect(gone(asking, slow)).toEqual([true, false])
})

it('evicts a connection of the address that holds most when the total is reached', () => {
  const { arrive } = listening({ max: 4, perAddress: 3 })
  const slow = arrive('192.0.2.1')
  for (let i = 0; i < 100; i++) arrive(i % 2 === 0 ? '192.0.2.2' : '192.0.2.3')
  expect(slow.destroyed).toBe(false)
})

it.each([
  ['a /64 of IPv6 is one', {}, ['2001:db8::1', '2001:db8::2:3'], 1],
  ['another /64 is another', {}, ['2001:db8::1', '2001:db8:0:1::1'], 0],
  ['an IPv4 address is one however it is written', {}, ['192.0.2.1', '::ffff:192.0.2.1'], 1],
  ['a unix socket has no share', {}, [undefined, undefined], 0],
  ['a proxy has no share', { proxies: ['192.0.2.0/24'] }, ['192.0.2.1', '192.0.2.1'], 0],
  ['a proxy in IPv6', { proxies: ['2001:db8::/64'] }, ['2001:db8::1', '2001:db8::1'], 0],
  [
    'a proxy as a listener for both sees it',
    { proxies: ['192.0.2.1'] },
    ['::ffff:192.0.2.1', '::ffff:192.0.2.1'],
    0,
  ],
])('%s', (_name, config, addresses, ended) => {
  const { arrive, told } = listening({ max: 100, perAddress: 1, ...config })
  for (const address of addresses) arrive(address)
  expect(told).toHaveLength(ended)
})

it('evicts a connection that sends no byte in time, and frees the place of a closed one', async () => {
  const { connections, arrive, told } = listening({ max: 10, perAddress: 2 }, 100)
  const [silent, speaking] = [arrive('192.0.2.1'), arrive('192.0.2.1')]
  speaking.bytesRead = 1
  await expect.poll(() => silent.destroyed).toBe(true)
  expect([speaking.destroyed, told]).toEqual([false, ['ended late 192.0.2.1']])
  speaking.destroy()
  await expect.poll(() => connections.count('silent')).toBe(0)
})

it('derives the total from the limit of open files', () => {
  expect(openFilesLimit()).toBeGreaterThan(0)
  expect([256, 1024, 8192, 1e6, Infinity].map((files) => connectionsFor(files))).toEqual([
    128, 512, 5632, 16_384, 16_384,
  ])
  expect(connectionsFor(16_384, 256, 2)).toBe(8064)
})
