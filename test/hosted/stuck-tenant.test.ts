// A tenant whose process hangs: a bounded number of its requests wait; requests of other tenants are answered as usual.
import { afterAll, beforeAll, expect, it } from 'vitest'
import { startHost, type Host } from '../support/host.ts'
import { canMeasure, forgetPeak, peak, resident } from './memory.ts'

let host: Host
beforeAll(async () => {
  host = await startHost({ tenants: ['stuck', 'other'] })
  for (const id of ['stuck', 'other']) expect((await append(id, 'first')).status).toBe(200)
})
afterAll(() => host.dispose())

const append = (moduleId: string, id: string): Promise<Response> =>
  host.fetch(moduleId, '/v1/append', {
    method: 'POST',
    headers: { 'x-payload-id': id },
    body: new Uint8Array(1000),
  })

it.skipIf(!canMeasure)(
  `a stuck tenant delays no other tenant${canMeasure ? '' : ' (skipped: no /proc)'}`,
  async () => {
    const pid = (await host.pidOf('stuck')) ?? 0
    forgetPeak(host.frontPid)
    const before = resident(host.frontPid)
    process.kill(pid, 'SIGSTOP')
    try {
      let answered = 0
      const waiting = Array.from({ length: 300 }, async (_, i) => {
        const { status } = await append('stuck', `waits-${i}`)
        if (status === 200) answered += 1
        return status
      })
      for (let i = 0; i < 50; i++) expect((await append('other', `meanwhile-${i}`)).status).toBe(200)
      expect(answered).toBe(0)
      process.kill(pid, 'SIGCONT')
      const statuses = await Promise.all(waiting)
      expect(statuses.filter((status) => status === 200)).toHaveLength(256)
      expect(statuses.filter((status) => status === 503)).toHaveLength(44)
      expect(peak(host.frontPid) - before).toBeLessThan(100)
    } finally {
      process.kill(pid, 'SIGCONT')
    }
  },
)
