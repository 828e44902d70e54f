import { ClientError } from '@service-fs/client/errors'
import { Connection } from '@service-fs/client/http'
import { event, serveTurns, stream } from '@service-fs/client/testing-follow'
import { expect, it } from 'vitest'
import type { CopyReport } from './verified-copy.ts'
import { keepUpdated } from './keep.ts'

const REPORT: CopyReport = {
  place: '',
  trust: '',
  pinned: true,
  notes: [],
  origin: 'example.org/ledger/test',
  from: 0,
  size: 1,
  root: '',
  bundles: 0,
  tiles: 0,
  bytes: 0,
}

it('mirror runs again after a record that arrived during the minimum pause, and soon after a failure', async () => {
  const server = await serveTurns([stream(() => event(2)), stream(() => '')])
  const connection = new Connection(server.url)
  const runs: (() => CopyReport)[] = [
    () => REPORT,
    () => {
      throw new ClientError('connection', 'lost')
    },
    () => {
      throw new Error('the third run')
    },
  ]
  const pauses: number[] = []
  const kept = keepUpdated({
    update: async () => (runs.shift() as () => CopyReport)(),
    updated: async () => undefined,
    failed: (_, pause) => void pauses.push(pause),
    connection,
    interval: 3_600_000,
  })
  try {
    await expect(kept).rejects.toThrow('the third run')
    expect(pauses).toEqual([2000])
    expect(server.asked).toEqual(['/v1/follow?since=1&limit=1'])
  } finally {
    await connection.close()
    await server.close()
  }
})
