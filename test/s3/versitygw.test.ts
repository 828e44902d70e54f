// The client of S3-compatible stores against one of them.
import { S3Objects } from '@service-fs/s3/objects'
import { parseS3Place } from '@service-fs/s3/place'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { Store, missingStore } from './store.ts'

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text)
const textIn = async (place: S3Objects, path: string): Promise<string | undefined> => {
  const found = await place.read(path, 100)
  return found && Buffer.from(found.bytes).toString()
}

const missing = await missingStore()
const name = 'the client against versitygw'

describe.skipIf(missing !== undefined)(missing === undefined ? name : `${name}: ${missing}`, () => {
  let store: Store
  beforeAll(async () => {
    store = await Store.start()
    await store.makeBucket('plain', { lock: false })
    await store.makeBucket('locked', { lock: true })
  })
  afterAll(() => store.dispose())

  const objects = (place: string, credentials = store.credentials): S3Objects =>
    new S3Objects(parseS3Place(`${place}endpoint=${store.url}`), {
      credentials: () => Promise.resolve(credentials),
    })
  it.each(['s3://plain/a/b?', 's3://locked/a/b?lock=COMPLIANCE&days=1&'])(
    'creates, replaces, reads and lists objects in %s',
    async (query) => {
      const place = objects(query)
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
      expect(await place.list('keys', 10)).toEqual(['a.vkey', 'b~c.vkey', 'd.vkey'])
    },
  )

  it('lets one of 32 writers create an object', async () => {
    const place = objects('s3://plain/race?')
    const writers = Array.from({ length: 32 }, (_, i) => place.create('origin', bytes(`writer ${i}`)))
    const results = await Promise.allSettled(writers)
    const won = results.flatMap(({ status }, i) => (status === 'fulfilled' ? [i] : []))
    expect(won.length).toBe(1)
    expect(await textIn(place, 'origin')).toBe(`writer ${won[0]}`)
  })

  it('stores the largest bundle', async () => {
    const bundle = new Uint8Array(256 * 87_381).fill(65)
    const place = objects('s3://plain/large?')
    await place.create('tile/entries/000.b64', bundle)
    const found = await place.read('tile/entries/000.b64', bundle.length)
    expect(Buffer.compare(found?.bytes ?? new Uint8Array(), bundle)).toBe(0)
  })

  it('locks sealed objects, but not the checkpoint', async () => {
    const place = objects('s3://locked/lock?lock=COMPLIANCE&days=3&')
    await place.create('origin', bytes('abc'))
    await place.replace('checkpoint', bytes('1'), undefined)
    const retention = await store.send('GET', 'locked/lock/origin?retention')
    expect(retention).toContain('COMPLIANCE')
    const [, until = ''] = /<RetainUntilDate>(.*?)</.exec(retention) ?? []
    expect(Date.parse(until)).toBeGreaterThan(Date.now() + 2 * 86_400_000)
    await expect(store.send('GET', 'locked/lock/checkpoint?retention')).rejects.toThrow(
      'NoSuchObjectLockConfiguration',
    )
  })

  it('refuses a wrong key and a missing bucket', async () => {
    const other = { ...store.credentials, secretAccessKey: 'other' }
    await expect(objects('s3://plain/a?', other).read('origin', 10)).rejects.toMatchObject({
      code: 'refused',
      message: 'GET s3://plain/a/origin: the store refused it: status 403, SignatureDoesNotMatch',
    })
    await expect(objects('s3://none/a?').read('origin', 10)).rejects.toMatchObject({ code: 'refused' })
  })
})
