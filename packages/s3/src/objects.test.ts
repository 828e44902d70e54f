// The client against a server that fails in the ways of a store. The server checks no signatures.
import { once } from 'node:events'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { buffer } from 'node:stream/consumers'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { S3Error } from './errors.ts'
import { S3Objects, type ObjectsOptions } from './objects.ts'
import { parseS3Place } from './place.ts'

const SECRET = 'hunter2-secret'
const TOKEN = 'hunter2-token'

interface Seen {
  method: string
  path: string
  headers: IncomingMessage['headers']
  body: Buffer
}
type Answer = (out: ServerResponse, seen: Seen) => void

let server: Server
let seen: Seen[] = []
/** The answers to the next requests, and the answer to each request after them. */
let answers: Answer[] = []
let always: Answer = store
let stored = new Map<string, Buffer>()
/** The retention of each locked object. */
let locks = new Map<string, string>()
/** The legal holds. */
let holds = new Map<string, string>()

beforeEach(async () => {
  seen = []
  answers = []
  always = store
  stored = new Map()
  locks = new Map()
  holds = new Map()
  server = createServer((raw, out) => void respond(raw, out))
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
})
afterEach(() => {
  server.closeAllConnections()
  server.close()
})

async function respond(raw: IncomingMessage, out: ServerResponse): Promise<void> {
  const { method = '', url = '', headers } = raw
  const one = { method, path: url, headers, body: await buffer(raw) }
  seen.push(one)
  const answer = answers.shift() ?? always
  answer(out, one)
}

const etagOf = (bytes: Buffer): string => `"${bytes.toString('hex')}"`

const retention = (mode: string, until: string): string =>
  `<Retention><Mode>${mode}</Mode><RetainUntilDate>${until}</RetainUntilDate></Retention>`

/** Answers as a store does. */
function store(out: ServerResponse, one: Seen): void {
  const { method, path, headers, body } = one
  if (path.endsWith('?retention=')) return storeLock(out, one)
  if (path.endsWith('?legal-hold=')) return storeHold(out, one)
  if (path.endsWith('?object-lock=')) return status(404, 'ObjectLockConfigurationNotFoundError')(out)
  const found = stored.get(path)
  const isOther = headers['if-match'] !== undefined && (!found || etagOf(found) !== headers['if-match'])
  if (method === 'PUT' && ((headers['if-none-match'] === '*' && found) || isOther)) status(412)(out)
  else if (method === 'PUT') {
    stored.set(path, body)
    const [mode, until] = ['mode', 'retain-until-date'].map((name) => headers[`x-amz-object-lock-${name}`])
    if (mode !== undefined) locks.set(path, retention(String(mode), String(until)))
    out.writeHead(200, { etag: etagOf(body) }).end()
  } else if (found === undefined) status(404, 'NoSuchKey')(out)
  else out.writeHead(200, { etag: etagOf(found) }).end(found)
}

function storeLock(out: ServerResponse, { method, path, body }: Seen): void {
  const [name = ''] = path.split('?')
  if (method === 'PUT') locks.set(name, body.toString())
  const found = locks.get(name)
  if (found === undefined) status(404, 'NoSuchObjectLockConfiguration')(out)
  else out.writeHead(200).end(method === 'PUT' ? '' : found)
}

function storeHold(out: ServerResponse, { method, path, body }: Seen): void {
  const [name = ''] = path.split('?')
  if (method === 'PUT') holds.set(name, body.toString())
  const found = holds.get(name)
  if (found === undefined) status(400, 'NoSuchObjectLockConfiguration')(out)
  else out.writeHead(200).end(method === 'PUT' ? '' : found)
}

/** Answers with an error document that repeats secrets, as stores do. */
function status(code: number, name = 'Failed') {
  return (out: ServerResponse): void =>
    void out.writeHead(code).end(`<Error><Code>${name}</Code><Message>${SECRET} ${TOKEN}</Message></Error>`)
}

const cut = (out: ServerResponse): void => void out.destroy()
/** Does what the request asks, and loses the answer. */
const storeAndCut: Answer = (out, one) => {
  stored.set(one.path, one.body)
  out.destroy()
}

const DAY = 86_400_000
const lock = { mode: 'COMPLIANCE', days: 2 } as const

function objects(options: Partial<ObjectsOptions> = {}): S3Objects {
  const { port } = server.address() as AddressInfo
  const place = parseS3Place(`s3://acme/led?endpoint=http://127.0.0.1:${port}`)
  const credentials = { accessKeyId: 'A', secretAccessKey: SECRET, sessionToken: TOKEN }
  return new S3Objects(place, { credentials: () => Promise.resolve(credentials), pause: 1, ...options })
}

/** Returns the code and the message of a failure, which shows no secret. */
async function failure(work: Promise<unknown>): Promise<[string, string]> {
  const error: unknown = await work.then(
    () => undefined,
    (thrown: unknown) => thrown,
  )
  if (!(error instanceof S3Error)) throw new Error('expected an S3Error', { cause: error })
  expect(`${error.message} ${error.stack} ${String(error.cause)}`).not.toMatch(/hunter2|Signature=/)
  return [error.code, error.message]
}

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text)
const text = (found: { bytes: Uint8Array } | undefined): string | undefined =>
  found && Buffer.from(found.bytes).toString()

const chunked: Answer = (out) => {
  out.writeHead(200, { etag: '"e"' })
  out.write('ab')
  out.end('cd')
}
const short: Answer = (out) => {
  out.writeHead(200, { etag: '"e"', 'content-length': '3' })
  // The part is on its way before the connection ends.
  out.write('ab', () => void out.destroy())
}
const never: Answer = () => undefined
const stuck: Answer = (out) => void out.writeHead(200, { etag: '"e"' }).write('a')
const page = (names: string[], next?: string, folders: string[] = []): Answer => {
  const contents = names.map((name) => `<Contents><Key>${name}</Key></Contents>`).join('')
  const prefixes = folders.map((name) => `<CommonPrefixes><Prefix>${name}</Prefix></CommonPrefixes>`).join('')
  const token = next === undefined ? '' : `<NextContinuationToken>${next}</NextContinuationToken>`
  const inner = `<IsTruncated>${next !== undefined}</IsTruncated>${contents}${prefixes}${token}`
  return (out) => void out.writeHead(200).end(`<ListBucketResult>${inner}</ListBucketResult>`)
}

describe('an object that is written once', () => {
  it('is stored under a condition, a lock, and sums that the signature covers', async () => {
    const before = Date.now()
    await objects({ lock }).create('origin', bytes('abc'))
    const [{ method, path, headers, body } = { headers: {} } as Seen] = seen
    expect([method, path, body.toString()]).toEqual(['PUT', '/acme/led/origin', 'abc'])
    expect(headers).toMatchObject({
      'if-none-match': '*',
      'x-amz-object-lock-mode': 'COMPLIANCE',
      'x-amz-content-sha256': 'ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad',
      'x-amz-checksum-sha256': 'ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0=',
    })
    const until = Date.parse(String(headers['x-amz-object-lock-retain-until-date']))
    expect(until).toBeGreaterThanOrEqual(before + 2 * DAY)
    for (const name of ['if-none-match', 'x-amz-object-lock-mode', 'x-amz-checksum-sha256'])
      expect(headers.authorization).toContain(name)
  })

  it('may be there already with the same bytes, and is a conflict with others', async () => {
    stored.set('/acme/led/origin', Buffer.from('abc'))
    await objects().create('origin', bytes('abc'))
    for (const other of ['abd', 'ab'])
      expect(await failure(objects().create('origin', bytes(other)))).toEqual([
        'conflict',
        'origin: expected the same bytes in the store, found others',
      ])
    expect(stored.get('/acme/led/origin')?.toString()).toBe('abc')
  })

  it('is stored after failures, also after an attempt whose answer was lost', async () => {
    answers = [status(503, 'SlowDown'), cut, status(409, 'ConditionalRequestConflict'), storeAndCut]
    await objects().create('origin', bytes('abc'))
    expect(seen.map(({ method }) => method).join(' ')).toBe('PUT PUT PUT PUT PUT GET')
    expect(stored.get('/acme/led/origin')?.toString()).toBe('abc')
  })

  it.each([
    [
      status(403, 'SignatureDoesNotMatch'),
      'status 403, SignatureDoesNotMatch: the secret key is wrong, or a proxy',
    ],
    [
      status(403, 'RequestTimeTooSkewed'),
      'status 403, RequestTimeTooSkewed: the clocks of this machine and of',
    ],
    [status(403, 'AccessDenied'), 'status 403, AccessDenied: the key may not do this'],
    [
      status(301, 'PermanentRedirect'),
      'status 301, PermanentRedirect: the bucket is in another region, or behind',
    ],
    [status(400, 'EntityTooLarge'), 'status 400, EntityTooLarge'],
    [
      (out: ServerResponse) => void out.writeHead(307).end(),
      'status 307: the bucket is in another region, or',
    ],
  ])('is refused with the code of the store, which is not asked again: %#', async (answer, message) => {
    answers = [answer]
    const [code, found] = await failure(objects().create('origin', bytes('a')))
    expect(code).toBe('refused')
    expect(found).toContain(`PUT s3://acme/led/origin: the store refused it: ${message}`)
    expect(seen.length).toBe(1)
  })

  it('is refused when there is no bucket', async () => {
    answers = [status(404, 'NoSuchBucket'), status(404, 'NoSuchBucket')]
    for (const work of [
      objects().create('origin', bytes('a')),
      objects().replace('origin', bytes('a'), undefined),
    ])
      expect(await failure(work)).toEqual(['refused', 'origin: there is no bucket acme'])
  })
})

describe('an object that one writer replaces', () => {
  it('is replaced only in the version that was read, and has no lock', async () => {
    const place = objects({ lock })
    const first = await place.replace('checkpoint', bytes('1'), undefined)
    const second = await place.replace('checkpoint', bytes('2'), first)
    expect((await place.read('checkpoint', 10))?.etag).toBe(second)
    for (const etag of [first, undefined])
      expect(await failure(place.replace('checkpoint', bytes('3'), etag))).toEqual([
        'changed',
        'checkpoint: another writer changed it in the store',
      ])
    expect(stored.get('/acme/led/checkpoint')?.toString()).toBe('2')
    for (const { headers } of seen) expect(headers['x-amz-object-lock-mode']).toBeUndefined()
  })

  it('is replaced by an attempt whose answer was lost', async () => {
    const place = objects()
    const first = await place.replace('checkpoint', bytes('1'), undefined)
    answers = [storeAndCut]
    expect(await place.replace('checkpoint', bytes('2'), first)).toBe(etagOf(Buffer.from('2')))
  })
})

describe('an object', () => {
  it('is looked for without reading it, and is removed', async () => {
    answers = [(out) => void out.writeHead(200, { 'content-length': '300' }).end(), status(404)]
    expect([await objects().has('origin'), await objects().has('origin')]).toEqual([true, false])
    answers = [(out) => void out.writeHead(204).end()]
    await objects().remove('tail/1')
    expect(seen.map(({ method, path }) => `${method} ${path}`)).toEqual([
      'HEAD /acme/led/origin',
      'HEAD /acme/led/origin',
      'DELETE /acme/led/tail/1',
    ])
  })
})

describe('reading', () => {
  it('returns the bytes, or undefined without the object', async () => {
    expect(await objects().read('origin', 10)).toBeUndefined()
    await objects().create('origin', bytes('abc'))
    expect(text(await objects().read('origin', 3))).toBe('abc')
  })

  it('does not take a missing bucket for an empty one', async () => {
    answers = [status(404, 'NoSuchBucket')]
    expect(await failure(objects().read('origin', 10))).toEqual([
      'refused',
      'origin: there is no bucket acme',
    ])
  })

  it('does not take a server that is no store, or a store that does not know the key, for an empty bucket', async () => {
    answers = [(out) => void out.writeHead(404).end('<html>NoSuchKey</html>'), status(404)]
    answers.push(status(404, 'InvalidAccessKeyId'), status(404, 'InvalidAccessKeyId'))
    expect((await failure(objects().read('origin', 10)))[0]).toBe('malformed')
    expect((await failure(objects().read('origin', 10)))[0]).toBe('refused')
    for (const work of [objects().read('origin', 10), objects().list('', 10)])
      expect((await failure(work))[1]).toContain('status 404, InvalidAccessKeyId: the access key is wrong')
  })

  it('refuses a larger object, whether the store states its length or not', async () => {
    answers = [(out) => void out.writeHead(200, { etag: '"e"' }).end('abcd'), chunked]
    for (let i = 0; i < 2; i++)
      expect(await failure(objects().read('origin', 3))).toEqual([
        'too-large',
        'GET s3://acme/led/origin: expected at most 3 bytes, found more',
      ])
  })

  it('reads again after a body that ends before its stated length', async () => {
    stored.set('/acme/led/origin', Buffer.from('abc'))
    answers = [short, short]
    expect(text(await objects().read('origin', 10))).toBe('abc')
    expect(seen.length).toBe(3)
  })

  it('ends after its attempts, and when an answer does not come or does not end', async () => {
    answers = Array.from({ length: 3 }, () => status(503, 'SlowDown'))
    expect(await failure(objects({ attempts: 3 }).read('origin', 10))).toEqual([
      'connection',
      'GET s3://acme/led/origin: status 503, SlowDown, in 3 attempts',
    ])
    for (const answer of [never, stuck]) {
      always = answer
      expect(await failure(objects({ attempts: 2, limit: 50 }).read('origin', 10))).toEqual([
        'connection',
        'GET s3://acme/led/origin: no whole answer within 0.05 s, in 2 attempts',
      ])
    }
  })

  it('refuses an answer without an ETag', async () => {
    answers = [(out) => void out.writeHead(200).end('abc')]
    expect((await failure(objects().read('origin', 10)))[0]).toBe('malformed')
  })
})

const daysFromNow = (days: number): string => new Date(Date.now() + days * DAY).toISOString()
/** Returns the mode of the lock of `origin`, and its days from now. */
const foundLock = (): [string, number] | undefined => {
  const [, mode = '', date = ''] = />([A-Z]+)<.*>([^<]+Z)</.exec(locks.get('/acme/led/origin') ?? '') ?? []
  return mode === '' ? undefined : [mode, Math.round((Date.parse(date) - Date.now()) / DAY)]
}

describe('a lock', () => {
  it.each([
    [undefined, ['COMPLIANCE', 3]],
    [
      ['COMPLIANCE', 0.5],
      ['COMPLIANCE', 3],
    ],
    [
      ['COMPLIANCE', 2.2],
      ['COMPLIANCE', 2],
    ],
    [
      ['COMPLIANCE', 9],
      ['COMPLIANCE', 9],
    ],
    [
      ['GOVERNANCE', 9],
      ['COMPLIANCE', 9],
    ],
  ] as const)('of an object that is there already, %j, becomes %j', async (before, after) => {
    stored.set('/acme/led/origin', Buffer.from('abc'))
    if (before !== undefined) locks.set('/acme/led/origin', retention(before[0], daysFromNow(before[1])))
    await objects({ lock: { mode: 'COMPLIANCE', days: 3 } }).create('origin', bytes('abc'))
    expect(foundLock()).toEqual(after)
  })

  it('is never weaker or shorter than the one that is there', async () => {
    stored.set('/acme/led/origin', Buffer.from('abc'))
    locks.set('/acme/led/origin', retention('COMPLIANCE', daysFromNow(0.5)))
    await objects({ lock: { mode: 'GOVERNANCE', days: 5 } }).create('origin', bytes('abc'))
    expect(foundLock()).toEqual(['COMPLIANCE', 5])
    await objects().create('origin', bytes('abc'))
    expect(foundLock()).toEqual(['COMPLIANCE', 5])
  })

  it('is refused by a bucket without Object Lock, and looked for after the first object', async () => {
    expect(await failure(objects({ lock }).checkBucket())).toEqual([
      'refused',
      'acme: expected a bucket with Object Lock, found one without',
    ])
    answers = [(out) => void out.writeHead(200).end('<ObjectLockEnabled>Enabled</ObjectLockEnabled>')]
    await objects({ lock }).checkBucket()
    await objects().checkBucket()
    answers = [(out) => void out.writeHead(200, { etag: '"e"' }).end()]
    expect(await failure(objects({ lock }).create('origin', bytes('abc')))).toEqual([
      'refused',
      'led/origin: expected an object with a lock, found one without',
    ])
    const place = objects({ lock })
    seen = []
    for (const name of ['a', 'b']) await place.create(name, bytes('abc'))
    expect(seen.map(({ method }) => method)).toEqual(['PUT', 'GET', 'PUT'])
  })
})

describe('a longer lock', () => {
  const enough = Date.now() + 5 * DAY
  const longer = { mode: 'GOVERNANCE', until: enough + DAY, enough } as const

  it.each([
    [undefined, true, ['GOVERNANCE', 6]],
    [['GOVERNANCE', 4], true, ['GOVERNANCE', 6]],
    [['GOVERNANCE', 5.1], false, ['GOVERNANCE', 5]],
    [['COMPLIANCE', 4], true, ['COMPLIANCE', 6]],
    [['COMPLIANCE', 9], false, ['COMPLIANCE', 9]],
  ] as const)('of an object with the lock %j changes it: %j', async (before, isChanged, after) => {
    stored.set('/acme/led/origin', Buffer.from('abc'))
    if (before !== undefined) locks.set('/acme/led/origin', retention(before[0], daysFromNow(before[1])))
    expect(await objects().extendLock('origin', longer)).toBe(isChanged)
    expect(foundLock()).toEqual(after)
    expect(await objects().lockModeOf('origin')).toBe(after[0])
  })

  it('is refused without the object, and after an answer that is no lock', async () => {
    answers = [status(404, 'NoSuchKey')]
    expect(await failure(objects().extendLock('origin', longer))).toEqual([
      'refused',
      'led/origin: expected an object, found none',
    ])
    for (const body of ['<Retention><Mode>NONE</Mode></Retention>', '']) {
      answers = [(out) => void out.writeHead(200).end(body)]
      expect((await failure(objects().extendLock('origin', longer)))[0]).toBe('malformed')
    }
    answers = [status(404, 'NoSuchObjectLockConfiguration'), status(403, 'AccessDenied')]
    expect((await failure(objects().extendLock('origin', longer)))[0]).toBe('refused')
    expect(seen.at(-1)?.method).toBe('PUT')
  })
})

describe('a legal hold', () => {
  it('is put and lifted once', async () => {
    const place = objects()
    const put = (isHeld: boolean): Promise<boolean> => place.setHold('origin', isHeld)
    expect([await put(false), await put(true), await put(true)]).toEqual([false, true, false])
    expect(holds.get('/acme/led/origin')).toContain('<Status>ON</Status>')
    expect([await put(false), await put(false)]).toEqual([true, false])
    expect(seen.filter(({ method }) => method === 'PUT').length).toBe(2)
    answers = [(out) => void out.writeHead(200).end('<LegalHold></LegalHold>')]
    expect((await failure(place.setHold('origin', true)))[0]).toBe('malformed')
  })
})

describe('listing', () => {
  it('goes from page to page', async () => {
    answers = [page(['led/keys/b', 'led/keys/a'], 't+1'), page(['led/keys/c'])]
    expect((await objects().list('keys', 3)).map(({ name }) => name)).toEqual(['a', 'b', 'c'])
    expect(seen[1]?.path).toContain('continuation-token=t%2B1')
  })

  it('has the objects and the folders, without the object that has the name of the folder', async () => {
    answers = [page(['led/tile/', 'led/tile/a'], undefined, ['led/tile/0/', 'led/tile/entries/'])]
    expect(await objects().list('tile', 3)).toEqual([
      { name: '0', kind: 'folder' },
      { name: 'a', kind: 'object' },
      { name: 'entries', kind: 'folder' },
    ])
    expect(seen[0]?.path).toContain('delimiter=%2F')
  })

  it('refuses too many names, foreign names, and pages that repeat', async () => {
    answers = [page(['led/keys/a', 'led/keys/b'])]
    expect((await failure(objects().list('keys', 1)))[0]).toBe('too-large')
    answers = [page(['other/a'])]
    expect((await failure(objects().list('keys', 1)))[0]).toBe('malformed')
    answers = [page(['led/keys/a'], 't'), page(['led/keys/a'], 't')]
    expect((await failure(objects().list('keys', 9)))[0]).toBe('malformed')
    answers = [page([], 't')]
    expect((await failure(objects().list('keys', 9)))[0]).toBe('malformed')
  })
})
