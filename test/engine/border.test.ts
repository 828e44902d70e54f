// Runs the engine in C and its host functions under AddressSanitizer and UBSan, and compares the results with those of Node.js.
import { createHash, generateKeyPairSync, randomBytes, sign } from 'node:crypto'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { VECTORS } from '../support/ed25519-vectors.ts'
import { run } from '../support/process.ts'
import { BUILD_MS, make, why } from './c.ts'

const HELPERS = `
  const hex = (b) => b === undefined ? 'undefined' : [...new Uint8Array(b)].map((n) => n.toString(16).padStart(2, '0')).join('')
  const bytes = (text) => new Uint8Array((text.match(/../g) ?? []).map((two) => parseInt(two, 16))).buffer
  const tried = (run) => { try { return String(run()) } catch (error) { return error.name + ': ' + error.message } }
`
const lengths = [0, 1, 2, 3, 31, 32, 33, 55, 56, 63, 64, 65, 119, 1000, 65_536]
const samples = lengths.map((length) => randomBytes(length))
const json = JSON.stringify
const sha256 = (...parts: Uint8Array[]) => createHash('sha256').update(Buffer.concat(parts))
/** Reports whether a line of the program's output is of the script's log. */
const isLog = (line: string): boolean => line.startsWith('LOG ')
/** Returns a script that decodes bytes as text and encodes the text again. */
const again = (hex: string) =>
  `((t) => t === undefined ? t : hex(host.utf8Encode(t)))(host.utf8Decode(bytes(${json(hex)})))`
/** Returns a script that runs this one and logs its errors. */
const deep = (what: string) => `try { ${what} } catch (error) { host.log(error.message) }`

describe.skipIf(why('gcc') !== '')(`the engine in C and its border${why('gcc')}`, () => {
  const folder = mkdtempSync(join(tmpdir(), 'service-fs-border-'))
  let program = ''
  beforeAll(async () => {
    program = join(await make('ledger-test', 'all', ['CC=gcc']), 'script-test')
  }, BUILD_MS)
  afterAll(() => rmSync(folder, { recursive: true }))

  interface Ended {
    log: string[]
    /** OK; ERROR with the message and the place; STOPPED with the reason. */
    end: string
    /** Bytes of the engine's memory. */
    memory: number
  }

  /** Runs a script; the memory is in MiB. */
  async function evaluate(script: string, memory = 32, milliseconds = 300_000): Promise<Ended> {
    const file = join(folder, 'script.js')
    writeFileSync(file, `${HELPERS}\n${script}`)
    const { code, stdout, stderr } = await run(program, [file, `${memory}`, `${milliseconds}`])
    expect(stderr).toBe('')
    expect(code).toBe(0)
    const lines = stdout.split('\n').slice(0, -1)
    const memoryLine = lines.findLast((line) => line.startsWith('MEMORY '))
    return {
      log: lines.filter(isLog).map((line) => line.slice('LOG '.length)),
      end: lines.filter((line) => !isLog(line) && line !== memoryLine).join('\n'),
      memory: Number(memoryLine?.slice('MEMORY '.length) ?? 0),
    }
  }

  /** Evaluates expressions in the engine, and returns them as texts. */
  async function values(expressions: readonly string[]): Promise<string[]> {
    const { log, end } = await evaluate(
      expressions.map((each) => `host.log(tried(() => ${each}))`).join('\n'),
    )
    expect(end).toBe('OK')
    return log
  }

  it('logs texts that start like the output of the program', async () => {
    const texts = ['OK', 'OKJTgifu97LPrQ0xDF4sd5', 'ERROR', 'STOPPED', 'MEMORY 1', 'LOG ', '']
    expect(await values(texts.map((text) => json(text)))).toEqual(texts)
  })

  it('hashes like Node.js', async () => {
    const all = samples.map((sample) => `bytes(${json(sample.toString('hex'))})`)
    expect(await values(all.map((each) => `hex(host.sha256(${each}))`))).toEqual(
      samples.map((sample) => sha256(sample).digest('hex')),
    )
    expect(await values(all.map((each) => `host.hashLeaf(${each})`))).toEqual(
      samples.map((sample) => sha256(Buffer.from([0]), sample).digest('base64')),
    )
    const [left, right] = [randomBytes(32), randomBytes(32)]
    const node = `host.hashNode(${json(left.toString('base64'))}, ${json(right.toString('base64'))})`
    expect(await values([node])).toEqual([sha256(Buffer.from([1]), left, right).digest('base64')])
    const wrong = 'Error: hashNode: expected two hashes in base64'
    const short = json(randomBytes(31).toString('base64'))
    expect(
      await values([`host.hashNode(${short}, ${short})`, 'host.hashNode()', `host.hashNode({}, [])`]),
    ).toEqual([wrong, wrong, wrong])
  })

  it('base64 matches Node, and decoding accepts nothing else', async () => {
    const texts = samples.map((sample) => sample.toString('base64'))
    const encoded = await values(
      samples.map((sample) => `host.base64Encode(bytes(${json(sample.toString('hex'))}))`),
    )
    expect(encoded).toEqual(texts)
    const decoded = await values(texts.map((text) => `hex(host.base64Decode(${json(text)}))`))
    expect(decoded).toEqual(samples.map((sample) => sample.toString('hex')))
    const digits = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/='
    const odd = [
      'A',
      'AA',
      'AAA',
      'AAAAA',
      'A===',
      '====',
      'AA=A',
      'AB==',
      'AAB=',
      'QQ==QQ==',
      'AA A',
      'AA\nA',
      '-_-_',
      'ÄAAA',
    ]
    const ends = digits.split('').flatMap((a) => [`A${a}==`, `AA${a}=`, `AAA${a}`, `${a}AAA`])
    const all = [...odd, ...ends]
    const expected = all.map((text) => {
      const bytes = Buffer.from(text, 'base64')
      return bytes.toString('base64') === text ? bytes.toString('hex') : 'undefined'
    })
    expect(await values(all.map((text) => `hex(host.base64Decode(${json(text)}))`))).toEqual(expected)
  })

  it('UTF-8 decoding accepts what Node accepts, except NUL', async () => {
    const strict = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })
    const parts = [
      '00',
      '41',
      '7f',
      '80',
      'bf',
      'c0',
      'c1',
      'c2',
      'df',
      'e0',
      'ed',
      'ef',
      'f0',
      'f4',
      'f5',
      'ff',
    ]
    const starts = [
      '',
      'e0',
      'ed',
      'ef',
      'f0',
      'f4',
      'e0a0',
      'ed9f',
      'eda0',
      'f090',
      'f48f',
      'f490',
      'efbbbf',
    ]
    const more = ['', '80', '8080', '808080', 'bf', 'bfbf', '9f8080', 'a080', '908080']
    const all = starts.flatMap((start) => parts.flatMap((part) => more.map((end) => start + part + end)))
    const expected = all.map((hex) => {
      try {
        const text = strict.decode(Buffer.from(hex, 'hex'))
        return text.includes('\0') ? 'undefined' : Buffer.from(text).toString('hex')
      } catch {
        return 'undefined'
      }
    })
    expect(await values(all.map(again))).toEqual(expected)
    expect(await values(["hex(host.utf8Encode('ä€𝄞'))", "hex(host.utf8Encode(''))"])).toEqual([
      'c3a4e282acf09d849e',
      '',
    ])
  })

  it('verifies signatures', async () => {
    const { privateKey, publicKey } = generateKeyPairSync('ed25519')
    const key = publicKey.export({ type: 'spki', format: 'der' }).subarray(-32)
    const cases = samples.slice(0, 6).flatMap((message) => {
      const signature = sign(null, message, privateKey)
      const wrong = Buffer.from(signature)
      wrong[5] = (wrong[5] ?? 0) ^ 1
      return [
        [key, message, signature, 'true'],
        [key, message, wrong, 'false'],
        [key, Buffer.concat([message, Buffer.from('x')]), signature, 'false'],
        [key.subarray(1), message, signature, 'false'],
        [key, message, signature.subarray(1), 'false'],
      ] as const
    })
    const calls = cases.map(
      (given) =>
        `host.ed25519Verify(${given
          .slice(0, 3)
          .map((each) => `bytes(${json(Buffer.from(each).toString('hex'))})`)
          .join()})`,
    )
    expect(await values(calls)).toEqual(cases.map((given) => given[3]))
  })

  it("agrees with Go's crypto/ed25519 on signatures", async () => {
    const calls = VECTORS.map(({ key, message, signature }) => {
      const given = [key, message, signature].map((each) => `bytes(${json(each.toString('hex'))})`)
      return `host.ed25519Verify(${given.join()})`
    })
    const said = await values(calls)
    const wrong = VECTORS.filter(({ valid }, i) => said[i] !== String(valid))
    expect(wrong.map(({ what }) => what)).toEqual([])
  })

  it('names missing arguments', async () => {
    const nothing = [
      'random',
      'sha256',
      'hashLeaf',
      'utf8Decode',
      'base64Encode',
      'ed25519Verify',
      'sign',
      'psdbPut',
      'psdbGet',
      'psdbSend',
      'netSend',
      'netClose',
      'timer',
    ]
    const said = await values(nothing.map((name) => `host.${name}()`))
    for (const [index, name] of nothing.entries()) {
      expect(said[index]).toMatch(
        name === 'netSend' || name === 'netClose'
          ? /^Error: expected the number/
          : new RegExp(`^Error: ${name}: expected`),
      )
    }
    expect(
      await values([
        'host.psdbPut(65000, new ArrayBuffer(537))',
        'host.psdbPut(65000, new ArrayBuffer(536))',
        'host.psdbGet(65536, 0).byteLength',
        'host.psdbGet(65535, 2)',
        'host.psdbGet(0.5, 2)',
        'host.psdbSend(new ArrayBuffer(63))',
        'host.psdbSend(new Uint8Array(64))',
        'host.random(65537)',
        'host.random(65536).byteLength',
        'host.log(Symbol())',
        'host.sign(2, 1, "")',
      ]),
    ).toEqual([
      'Error: psdbPut: expected bytes within the data region',
      'undefined',
      '0',
      'Error: psdbGet: expected an offset and a length within the data region',
      'Error: psdbGet: expected an offset and a length within the data region',
      'Error: psdbSend: expected 64 bytes',
      'Error: psdbSend: expected an ArrayBuffer',
      'Error: random: expected a number of bytes up to 65536',
      '65536',
      'Error: log: expected a text',
      'Error: sign: expected ledger 0 or 1',
    ])
  })

  it('bytes written to the data region read back unchanged', async () => {
    expect(await values(['(host.psdbPut(7, bytes("00ff41")), hex(host.psdbGet(6, 5)).slice(2, 8))'])).toEqual(
      ['00ff41'],
    )
  })

  it('an exception includes its stack', async () => {
    const { end } = await evaluate('\nfunction inner() { null.x }\nfunction outer() { inner() }\nouter()')
    expect(end).toMatch(/^ERROR\nTypeError: .*\n +at inner \(test.js:\d+:\d+\)\n +at outer \(test.js:/)
  })

  it('promises are settled in their order', async () => {
    const { log, end } = await evaluate(
      "(async () => { host.log('a'); await 1; host.log('c'); await 1; host.log('d') })(); host.log('b')",
    )
    expect({ log, end }).toEqual({ log: ['a', 'b', 'c', 'd'], end: 'OK' })
  })

  it.each([
    ['a loop', 'for (;;);', 'InternalError: interrupted'],
    [
      'a loop that nothing stops',
      '(async () => { for (;;) try { await (async () => { for (;;); })() } catch {} })()',
      'it took too long',
    ],
    ['promises without an end', '(function again() { Promise.resolve().then(again) })()', 'it took too long'],
    ['a pattern without an end', "/(a+)+$/.test('a'.repeat(40) + 'b')", 'InternalError: interrupted'],
  ])('ends %s', async (_, script, ending) => {
    const { end } = await evaluate(script, 32, 300)
    expect(end.split('\n').slice(0, 2)).toEqual(['ERROR', ending])
  })

  it('keeps a script within the memory of the engine, after which the script can continue', async () => {
    const { log, end, memory } = await evaluate(
      "try { for (let all = []; ; ) all.push(new Uint8Array(1e6)) } catch (error) { host.log(error.message) }\nhost.log('on')",
      24,
    )
    expect({ log, end }).toEqual({ log: ['out of memory', 'on'], end: 'OK' })
    expect(memory).toBe(24 * 2 ** 20)
  })

  it('keeps a script within the stack of the engine, after which the script can continue', async () => {
    const { log, end } = await evaluate(
      [
        deep('(function f() { return f() + 1 })()'),
        deep("JSON.parse('['.repeat(100000))"),
        deep("eval('('.repeat(100000))"),
        deep("new RegExp('('.repeat(100000))"),
        deep('const o = { toString: () => host.utf8Encode(o) }; host.log(o)'),
        deep('const o = { toString() { return JSON.stringify({ toJSON: () => String(o) }) } }; String(o)'),
      ].join('\n'),
    )
    expect(end).toBe('OK')
    expect(log).toHaveLength(6)
    for (const line of log) expect(line).toMatch(/overflow|expected|nest|too many|out of/i)
  })

  it('frees the memory of finished calls', async () => {
    const { end, memory } = await evaluate(
      `for (let i = 0; i < 30000; i++) {
        const b = host.psdbGet(0, 2000)
        host.psdbPut(0, b); host.hashLeaf(b); host.utf8Encode(host.base64Encode(b)); host.random(100)
        try { host.psdbSend(b) } catch {}
        try { host.log() } catch {}
      }`,
      64,
      300_000,
    )
    expect({ end, memory }).toEqual({ end: 'OK', memory: 16 * 2 ** 20 })
  })

  it('has one time zone, with correct dates', async () => {
    const times = [
      0, -1, 1e12, -1e13, 951_782_399_000, 951_782_400_000, 4_107_542_400_000, 8.64e15, -8.64e15,
      253_402_300_800_000,
    ]
    const { env } = process
    const zone = env['TZ']
    env['TZ'] = 'UTC'
    const expected = times.map((time) => {
      const date = new Date(time)
      return [
        date.getFullYear(),
        date.getMonth(),
        date.getDate(),
        date.getDay(),
        date.getHours(),
        date.getMinutes(),
        date.getSeconds(),
        date.getTimezoneOffset(),
      ].join()
    })
    if (zone === undefined) delete env['TZ']
    else env['TZ'] = zone
    expect(
      await values(
        times.map(
          (time) =>
            `((d) => [d.getFullYear(), d.getMonth(), d.getDate(), d.getDay(), d.getHours(), d.getMinutes(), d.getSeconds(), d.getTimezoneOffset()].join())(new Date(${time}))`,
        ),
      ),
    ).toEqual(expected)
  })
})

describe.skipIf(why('clang') !== '')(`the border, fuzzed${why('clang')}`, () => {
  it('touches nothing beyond the engine’s memory', { timeout: BUILD_MS }, async () => {
    const flags = '-O1 -g -fsanitize=address,undefined,fuzzer-no-link -fno-sanitize-recover=all'
    const out = await make('ledger-fuzz', 'fuzz', ['CC=clang', `CFLAGS=${flags}`])
    const args = [
      '-seed=1',
      '-runs=300',
      '-max_len=200',
      '-len_control=0',
      '-verbosity=0',
      '-print_final_stats=1',
    ]
    const { code, stderr } = await run(join(out, 'border-fuzz'), args, { cwd: out, timeoutMs: 600_000 })
    expect(code, stderr).toBe(0)
    expect(stderr).toMatch(/stat::number_of_executed_units: 3\d\d/)
  })
})
