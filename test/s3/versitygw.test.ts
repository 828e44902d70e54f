// The client of S3-compatible stores against one of them.
import type { ObjectLock } from '@service-fs/s3/object-lock'
import { S3Objects } from '@service-fs/s3/objects'
import { parseS3Place } from '@service-fs/s3/place'
import { expect, it } from 'vitest'
import { OneAtATime } from './proxy.ts'
import { describeStore, useStore } from './store.ts'

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text)
const textIn = async (place: S3Objects, path: string): Promise<string | undefined> => {
  const found = await place.read(path, 100)
  return found && Buffer.from(found.bytes).toString()
}

describeStore('the client against versitygw', () => {
  const store = useStore({ plain: { lock: false }, locked: { lock: true } })

  const objects = (
    place: string,
    lock?: ObjectLock,
    credentials = store().credentials,
    url = store().url,
  ): S3Objects =>
    new S3Objects(parseS3Place(`${place}?endpoint=${url}`), {
      credentials: () => Promise.resolve(credentials),
      lock,
    })
  it.each([
    ['s3://plain/a/b', undefined],
    ['s3://locked/a/b', { mode: 'COMPLIANCE', days: 1 }],
  ] as const)('creates, replaces, reads and lists objects in %s', async (at, lock) => {
    const place = objects(at, lock)
    expect(await textIn(place, 'origin')).toBeUndefined()
    await place.create('origin', bytes('abc'))
    await place.create('origin', bytes('abc'))
    await expect(place.create('origin', bytes('abd'))).rejects.toMatchObject({ code: 'conflict' })
    expect(await textIn(place, 'origin')).toBe('abc')
    const first = await place.replace('checkpoint', bytes('1'), undefined)
    await place.replace('checkpoint', bytes('2'), first)
    for (const etag of [first, undefined])
      await expect(place.replace('checkpoint', bytes('3'), etag)).rejects.toMatchObject({ code: 'changed' })
    expect(await textIn(place, 'checkpoint')).toBe('2')
    for (const key of ['b~c', 'a', 'd']) await place.create(`keys/${key}.vkey`, bytes(key))
    const names = (await place.list('keys', 10)).map(({ name: key }) => key)
    expect(names).toEqual(['a.vkey', 'b~c.vkey', 'd.vkey'])
    expect(await place.list('', 10)).toEqual([
      { name: 'checkpoint', kind: 'object' },
      { name: 'keys', kind: 'folder' },
      { name: 'origin', kind: 'object' },
    ])
    expect(await Promise.all(['origin', 'keys/none'].map((key) => place.has(key)))).toEqual([true, false])
    await place.remove('checkpoint')
    await place.remove('checkpoint')
    expect(await place.has('checkpoint')).toBe(false)
  })

  it('lets one of 32 writers create an object', async () => {
    const proxy = new OneAtATime(store().url)
    await proxy.listen()
    const place = objects('s3://plain/race', undefined, store().credentials, proxy.url)
    const writers = Array.from({ length: 32 }, (_, i) => place.create('origin', bytes(`writer ${i}`)))
    const results = await Promise.allSettled(writers)
    proxy.close()
    const won = results.flatMap(({ status }, i) => (status === 'fulfilled' ? [i] : []))
    expect(won.length).toBe(1)
    expect(await textIn(objects('s3://plain/race'), 'origin')).toBe(`writer ${won[0]}`)
  })

  it('stores the largest bundle', async () => {
    const bundle = new Uint8Array(256 * 87_381).fill(65)
    const place = objects('s3://plain/large')
    await place.create('tile/entries/000.b64', bundle)
    const found = await place.read('tile/entries/000.b64', bundle.length)
    expect(Buffer.compare(found?.bytes ?? new Uint8Array(), bundle)).toBe(0)
  })

  it('locks sealed objects, but not the checkpoint', async () => {
    const place = objects('s3://locked/lock', { mode: 'COMPLIANCE', days: 3 })
    await place.create('origin', bytes('abc'))
    await place.replace('checkpoint', bytes('1'), undefined)
    const retention = await store().send('GET', 'locked/lock/origin?retention')
    expect(retention).toContain('COMPLIANCE')
    const [, until = ''] = /<RetainUntilDate>(.*?)</.exec(retention) ?? []
    expect(Date.parse(until)).toBeGreaterThan(Date.now() + 2 * 86_400_000)
    await expect(store().send('GET', 'locked/lock/checkpoint?retention')).rejects.toThrow(
      'NoSuchObjectLockConfiguration',
    )
  })

  it('locks, when it finds them again, sealed objects that lost their lock or never had one', async () => {
    await objects('s3://locked/late').create('origin', bytes('abc'))
    const place = objects('s3://locked/late', { mode: 'GOVERNANCE', days: 3 })
    await expect(place.checkLock('origin')).rejects.toMatchObject({ code: 'refused' })
    await place.create('origin', bytes('abc'))
    await place.checkLock('origin')
    expect(await store().send('GET', 'locked/late/origin?retention')).toContain('GOVERNANCE')
    await objects('s3://locked/late', { mode: 'GOVERNANCE', days: 9 }).create('origin', bytes('abc'))
    const [, until = ''] =
      /<RetainUntilDate>(.*?)</.exec(await store().send('GET', 'locked/late/origin?retention')) ?? []
    expect(Date.parse(until)).toBeGreaterThan(Date.now() + 8 * 86_400_000)
  })

  it('tells a bucket with Object Lock from one without', async () => {
    const lock = { mode: 'COMPLIANCE', days: 3 } as const
    await objects('s3://locked/a', lock).checkBucket()
    for (const bucket of ['plain', 'none'])
      await expect(objects(`s3://${bucket}/a`, lock).checkBucket()).rejects.toMatchObject({ code: 'refused' })
  })

  it('refuses a wrong key and a missing bucket', async () => {
    const other = { ...store().credentials, secretAccessKey: 'other' }
    await expect(objects('s3://plain/a', undefined, other).read('origin', 10)).rejects.toMatchObject({
      code: 'refused',
      message: expect.stringContaining(
        'GET s3://plain/a/origin: the store refused it: status 403, SignatureDoesNotMatch: the secret key',
      ),
    })
    await expect(objects('s3://none/a').read('origin', 10)).rejects.toMatchObject({ code: 'refused' })
  })
})
