import type { StorageCapability, TailFile } from './capability.ts'
import { StorageError } from './errors.ts'
import { MAX_TEXT_BYTES, formatObjectName, type SealedName } from './object-name.ts'

/** A storage under test. */
export interface ConformanceSubject {
  readonly storage: StorageCapability
  /** Closes the storage and opens the same ledger again. */
  readonly reopen: () => Promise<StorageCapability>
  /** Closes the storage and removes its data. */
  readonly dispose: () => Promise<void>
}

export interface ConformanceOptions {
  readonly name: string
  /** The tail mode of the storages that open() returns. */
  readonly tailMode: 'grow' | 'each'
  /** Whether they keep tail files, see StorageCapability.keepsTail; default false. */
  readonly keepsTail?: boolean
  /** Opens an empty storage. */
  readonly open: () => Promise<ConformanceSubject>
  /** The functions of a test runner, such as vitest or Jest. */
  readonly test: {
    readonly describe: (name: string, suite: () => void) => unknown
    readonly it: (name: string, test: () => Promise<void>) => unknown
    readonly expect: (actual: unknown) => { toEqual(expected: unknown): unknown }
  }
}

/** Tests that every storage backend must pass. */
export function storageConformance(options: ConformanceOptions): void {
  const t = tools(options)
  options.test.describe(`${options.name} conforms`, () => {
    sealedObjects(t)
    theCheckpoint(t)
    if (options.tailMode === 'each') aTailFileEach(t)
    else {
      aGrowingTail(t)
      if (options.keepsTail === true) tailFilesThatStay(t)
      else tailFilesThatMove(t)
    }
    argumentsAndClosing(t)
  })
}

function sealedObjects({ it, same, refused }: Tools): void {
  it('reads sealed objects, before and after reopening', async ({ storage, reopen }) => {
    const objects: SealedName[] = [
      { kind: 'readme' },
      { kind: 'verifier' },
      { kind: 'origin' },
      { kind: 'vkey', name: 'log-1' },
      { kind: 'tile', level: 0, index: 0 },
      { kind: 'bundle', index: 1234067 },
    ]
    same(await storage.read({ kind: 'origin' }), undefined)
    for (const name of objects) await storage.seal(name, text(formatObjectName(name)))
    for (const name of objects) same(await storage.read(name), text(formatObjectName(name)))
    const again = await reopen()
    for (const name of objects) same(await again.read(name), text(formatObjectName(name)))
    same(await again.read({ kind: 'bundle', index: 1234068 }), undefined)
  })

  it('accepts the same bytes again, and rejects others', async ({ storage, reopen }) => {
    await storage.seal({ kind: 'tile', level: 0, index: 0 }, text('a'))
    await storage.seal({ kind: 'tile', level: 0, index: 0 }, text('a'))
    await refused('conflict', storage.seal({ kind: 'tile', level: 0, index: 0 }, text('b')))
    await refused('conflict', storage.seal({ kind: 'tile', level: 0, index: 0 }, text('aa')))
    const again = await reopen()
    await again.seal({ kind: 'tile', level: 0, index: 0 }, text('a'))
    await refused('conflict', again.seal({ kind: 'tile', level: 0, index: 0 }, text('b')))
    same(await again.read({ kind: 'tile', level: 0, index: 0 }), text('a'))
  })

  it('returns copies', async ({ storage }) => {
    const bytes = text('abc')
    await storage.seal({ kind: 'origin' }, bytes)
    bytes[0] = 0
    const read = await storage.read({ kind: 'origin' })
    same(read, text('abc'))
    read?.fill(0)
    same(await storage.read({ kind: 'origin' }), text('abc'))
  })

  it('seals many objects concurrently', async ({ storage }) => {
    const names = Array.from({ length: 40 }, (_, i) => ({ kind: 'bundle', index: 980 + i }) as const)
    await Promise.all([...names, ...names].map((name) => storage.seal(name, text(formatObjectName(name)))))
    for (const name of names) same(await storage.read(name), text(formatObjectName(name)))
  })

  it('seals one object for many callers', async ({ storage, reopen }) => {
    await Promise.all(Array.from({ length: 10 }, () => storage.seal({ kind: 'origin' }, text('same'))))
    same(await (await reopen()).read({ kind: 'origin' }), text('same'))
  })

  it('accepts one of two writers of the same object', async ({ storage }) => {
    const writers = ['a', 'b'].map((name) => storage.seal({ kind: 'origin' }, text(name)))
    const outcomes = await Promise.allSettled(writers)
    same(outcomes.map(({ status }) => status).sort(), ['fulfilled', 'rejected'])
    const won = outcomes.findIndex(({ status }) => status === 'fulfilled')
    same(await storage.read({ kind: 'origin' }), text(['a', 'b'][won] ?? ''))
  })

  it('rejects names outside the ledger format', async ({ storage }) => {
    for (const name of [
      { kind: '' },
      { kind: 'lock' },
      { kind: 'audit/origin' },
      { kind: 'tail', start: 0 },
      { kind: 'vkey', name: '' },
      { kind: 'vkey', name: '../origin' },
      { kind: 'tile', level: 0, index: -1 },
      { kind: 'tile', level: 0, index: 0.5 },
      { kind: 'tile', level: 6, index: 0 },
      { kind: 'tile', level: -1, index: 0 },
      { kind: 'bundle', index: 2 ** 45 - 1 },
      { kind: 'bundle', index: '0/../../origin' },
    ] as unknown as SealedName[]) {
      await refused('path', storage.read(name))
      await refused('path', storage.seal(name, text('x')))
    }
    await refused('path', storage.seal({ kind: 'checkpoint' } as unknown as SealedName, text('x')))
  })

  it('rejects objects that are too large', async ({ storage }) => {
    await refused('full', storage.seal({ kind: 'tile', level: 0, index: 0 }, new Uint8Array(256 * 45 + 1)))
    await refused('full', storage.publish(new Uint8Array(MAX_TEXT_BYTES + 1)))
    same(await storage.read({ kind: 'tile', level: 0, index: 0 }), undefined)
  })
}

function theCheckpoint({ it, same }: Tools): void {
  it('replaces the checkpoint in the order of the calls', async ({ storage, reopen }) => {
    same(await storage.read({ kind: 'checkpoint' }), undefined)
    await Promise.all(['1', '2', 'three'].map((name) => storage.publish(text(name))))
    same(await storage.read({ kind: 'checkpoint' }), text('three'))
    await storage.publish(text('4'))
    const again = await reopen()
    same(await again.read({ kind: 'checkpoint' }), text('4'))
  })
}

function aGrowingTail({ it, same, refused }: Tools): void {
  it('has no tail at first', async ({ storage }) => {
    same(await all(storage.tail()), [])
    await refused('no-tail', storage.commit(1, text('c')))
  })

  it('keeps commits in the order of the calls', async ({ storage, reopen }) => {
    await refused('no-tail', storage.commit(1, text('c')))
    await storage.beginTail(0, 1, text('begin '))
    await Promise.all(['a ', 'b ', 'c '].map((commit, i) => storage.commit(2 + i, text(commit))))
    same(await all(storage.tail()), [{ start: 0, bytes: text('begin a b c ') }])
    const again = await reopen()
    await refused('no-tail', again.commit(5, text('d ')))
    same(await all(again.tail()), [{ start: 0, bytes: text('begin a b c ') }])
    await again.commit(5, text('d '))
    same(await all((await reopen()).tail()), [{ start: 0, bytes: text('begin a b c d ') }])
  })
}

function tailFilesThatMove({ it, same, refused }: Tools): void {
  it('begins a new file when all earlier entries are sealed, and removes older files', async ({
    storage,
    reopen,
  }) => {
    await storage.beginTail(0, 1, text('zero'))
    await refused('unsealed', storage.beginTail(256, 257, text('x')))
    await storage.seal({ kind: 'bundle', index: 0 }, text('bundle'))
    await refused('unsealed', storage.beginTail(257, 258, text('x')))
    await refused('unsealed', storage.beginTail(512, 513, text('x')))
    await storage.commit(256, text('+'))
    await storage.beginTail(256, 257, text('begin'))
    await storage.commit(258, text('+'))
    await refused('conflict', storage.beginTail(0, 258, text('x')))
    same(await all(storage.tail()), [{ start: 256, bytes: text('begin+') }])
    const again = await reopen()
    same(await all(again.tail()), [{ start: 256, bytes: text('begin+') }])
    await refused('conflict', again.beginTail(0, 258, text('x')))
  })

  it('replaces the file with the same start', async ({ storage, reopen }) => {
    await storage.beginTail(0, 1, text('whole torn'))
    const again = await reopen()
    await again.beginTail(0, 1, text('whole'))
    await again.commit(2, text('+'))
    same(await all((await reopen()).tail()), [{ start: 0, bytes: text('whole+') }])
  })
}

function tailFilesThatStay({ it, same, refused }: Tools): void {
  it('begins a new file after the newest one, and replaces none', async ({ storage, reopen }) => {
    await storage.beginTail(0, 100, text('zero'))
    await refused('conflict', storage.beginTail(0, 100, text('x')))
    await storage.beginTail(100, 101, text('hundred'))
    await refused('conflict', storage.beginTail(99, 101, text('x')))
    await storage.commit(102, text('+'))
    const files = [
      { start: 0, bytes: text('zero') },
      { start: 100, bytes: text('hundred+') },
    ]
    same(await all(storage.tail()), files)
    const again = await reopen()
    await refused('conflict', again.beginTail(100, 101, text('x')))
    same(await all(again.tail()), files)
    await again.commit(103, text('+'))
    same((await all((await reopen()).tail())).at(-1), { start: 100, bytes: text('hundred++') })
  })

  it('removes older files when each of their bundles is sealed', async ({ storage, reopen }) => {
    await storage.beginTail(0, 600, text('zero'))
    await storage.seal({ kind: 'bundle', index: 1 }, text('one'))
    await storage.beginTail(512, 700, text('five'))
    const starts = async (from: StorageCapability): Promise<number[]> =>
      (await all(from.tail())).map(({ start }) => start)
    same(await starts(await reopen()), [0, 512])
    const again = await reopen()
    for (const bundle of [0, 2]) await again.seal({ kind: 'bundle', index: bundle }, text(`${bundle}`))
    await again.beginTail(768, 800, text('seven'))
    await again.commit(801, text('+'))
    same(await all((await reopen()).tail()), [{ start: 768, bytes: text('seven+') }])
  })
}

function aTailFileEach({ it, same, refused }: Tools): void {
  it('has no tail at first', async ({ storage }) => {
    same(await all(storage.tail()), [])
    await refused('no-tail', storage.commit(1, text('c')))
  })

  it('keeps each commit as a file', async ({ storage, reopen }) => {
    await refused('no-tail', storage.commit(1, text('c')))
    await storage.beginTail(0, 3, text('one'))
    await storage.beginTail(3, 4, text('two'))
    await refused('conflict', storage.beginTail(3, 5, text('other')))
    await refused('conflict', storage.beginTail(2, 5, text('other')))
    const files = [
      { start: 0, bytes: text('one') },
      { start: 3, bytes: text('two') },
    ]
    same(await all(storage.tail()), files)
    const again = await reopen()
    await refused('conflict', again.beginTail(3, 5, text('other')))
    await again.beginTail(4, 300, text('three'))
    same(await all((await reopen()).tail()), [...files, { start: 4, bytes: text('three') }])
  })

  it('reads from the newest file that begins within the sealed entries', async ({ storage, reopen }) => {
    for (const start of [0, 200, 256, 300, 512, 700])
      await storage.beginTail(start, start + 1, text(`${start}`))
    const starts = async (): Promise<number[]> =>
      (await all((await reopen()).tail())).map(({ start }) => start)
    same(await starts(), [0, 200, 256, 300, 512, 700])
    await (await reopen()).seal({ kind: 'bundle', index: 0 }, text('0'))
    same(await starts(), [256, 300, 512, 700])
    await (await reopen()).seal({ kind: 'bundle', index: 2 }, text('2'))
    same(await starts(), [256, 300, 512, 700])
    await (await reopen()).seal({ kind: 'bundle', index: 1 }, text('1'))
    same(await starts(), [700])
  })
}

function argumentsAndClosing({ it, same, refused }: Tools): void {
  it('rejects invalid sizes and empty bytes', async ({ storage }) => {
    for (const size of [-1, 0.5, 2 ** 53, Number.NaN]) {
      same(await nameOf(storage.beginTail(size, size, text('x'))), 'RangeError')
      same(await nameOf(storage.commit(size, text('x'))), 'RangeError')
    }
    same(await nameOf(storage.beginTail(1, 0, text('x'))), 'RangeError')
    same(await nameOf(storage.seal({ kind: 'origin' }, new Uint8Array())), 'RangeError')
  })

  it('completes running verbs on close, then rejects all others', async ({ storage, reopen }) => {
    const seal = storage.seal({ kind: 'origin' }, text('o'))
    const publish = storage.publish(text('c'))
    await storage.close()
    await Promise.all([seal, publish])
    await storage.close()
    await refused('closed', storage.read({ kind: 'origin' }))
    await refused('closed', storage.seal({ kind: 'origin' }, text('o')))
    await refused('closed', storage.commit(1, text('c')))
    await refused('closed', storage.beginTail(0, 1, text('c')))
    await refused('closed', storage.publish(text('c')))
    await refused('closed', all(storage.tail()))
    const again = await reopen()
    same(
      [await again.read({ kind: 'origin' }), await again.read({ kind: 'checkpoint' })],
      [text('o'), text('c')],
    )
  })
}

interface Tools {
  readonly it: (name: string, test: (subject: ConformanceSubject) => Promise<void>) => void
  readonly same: (actual: unknown, expected: unknown) => void
  readonly refused: (code: string, verb: Promise<unknown>) => Promise<void>
}

function tools({ open, tailMode, keepsTail = false, test }: ConformanceOptions): Tools {
  const same = (actual: unknown, expected: unknown): void => void test.expect(actual).toEqual(expected)
  return {
    same,
    it: (name, run) => {
      test.it(name, async () => {
        const subject = await open()
        same([subject.storage.tailMode, subject.storage.keepsTail ?? false], [tailMode, keepsTail])
        try {
          await run(subject)
        } finally {
          await subject.dispose()
        }
      })
    },
    refused: async (code, verb) => {
      const outcome = await verb.then(
        () => 'succeeded',
        (error: unknown) => (error instanceof StorageError ? error.code : error),
      )
      same(outcome, code)
    },
  }
}

async function all(files: AsyncIterable<TailFile>): Promise<TailFile[]> {
  const found: TailFile[] = []
  for await (const { start, bytes } of files) found.push({ start, bytes })
  return found
}

function nameOf(verb: Promise<unknown>): Promise<string> {
  return verb.then(
    () => 'succeeded',
    (error: unknown) => (error instanceof Error ? error.name : 'no Error'),
  )
}

/** ASCII. */
function text(ascii: string): Uint8Array {
  return Uint8Array.from(ascii, (character) => character.charCodeAt(0))
}
