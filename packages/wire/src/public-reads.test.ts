import { describe, expect, it } from 'vitest'
import { harness } from './testing.ts'

const readsWith = async (change: object): Promise<unknown> =>
  (await (await harness(() => change)).ask('/v1/contract')).json.reads

describe('public reads', () => {
  it('are not recorded, although there is an audit sub-ledger', async () => {
    const h = await harness(() => ({ publicReads: true }))
    for (let i = 0; i < 256; i++) await h.append(`r${i}`, i)
    for (const target of [
      '/v1/contract',
      '/v1/entries',
      '/v1/entries/1',
      '/v1/entries/1/proof',
      '/v1/records/r1',
      '/v1/search?prefix=r',
      '/v1/checkpoint',
      '/v1/proof/inclusion?index=0',
      '/v1/proof/consistency?from=1',
      '/checkpoint',
      '/tile/0/000',
      '/tile/entries/000',
    ])
      for (const method of ['GET', 'HEAD']) {
        const { status, headers } = await h.ask(target, { method })
        expect([target, status, headers['x-audit-index']]).toEqual([target, 200, undefined])
      }
    // Reading the ledger would reveal as much.
    expect((await h.append('r1', 1)).json).toMatchObject({ duplicate: true })
    expect((await h.append('r1', 2)).status).toBe(409)
    expect(h.audit.size).toBe(0)
  })

  it('may be answered by shared caches', async () => {
    const h = await harness(() => ({ publicReads: true }))
    for (let i = 0; i < 256; i++) await h.append(`r${i}`, i)
    const cacheControl = async (target: string): Promise<string | undefined> =>
      (await h.ask(target)).headers['cache-control']
    expect(await cacheControl('/tile/0/000')).toBe('public, max-age=31536000, immutable')
    expect(await cacheControl('/checkpoint')).toBe('public, max-age=1')
    expect(await cacheControl('/audit/checkpoint')).toBe('no-store')
  })

  it('do not stop the recording of reads of the audit sub-ledger', async () => {
    const h = await harness(() => ({ publicReads: true }))
    const { status, headers } = await h.ask('/audit/v1/entries')
    expect([status, headers['x-audit-index'], h.audit.size]).toEqual([200, '0', 1])
  })

  it('are shown by the contract', async () => {
    expect(await readsWith({ publicReads: true })).toBe('public')
    expect(await readsWith({ audit: undefined })).toBe('public')
    expect(await readsWith({})).toBe('recorded')
  })
})
