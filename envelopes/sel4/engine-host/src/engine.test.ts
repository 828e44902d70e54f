import { beforeEach, describe, expect, it } from 'vitest'
import { Engine, type Value } from './engine.ts'
import { MACHINE } from './machine.ts'

let engine: Engine
let said: Value[]

async function open(memoryBytes: number, callMs: number = 5000): Promise<Engine> {
  const made = await Engine.create({ memoryBytes, callMs })
  made.define('host', {
    ...MACHINE,
    say(given) {
      said.push(given.optionalText(0))
      return undefined
    },
    bytes(given) {
      said.push(Buffer.from(given.bytes(0)))
      return undefined
    },
    number: (given) => given.number(0) + 1,
    fail() {
      throw new Error('no such thing')
    },
    give: (given) => new Uint8Array(given.number(0)).fill(7),
  })
  return made
}

beforeEach(async () => {
  said = []
  engine = await open(64 * 2 ** 20)
})

const evaluate = (script: string): void => engine.evaluate(script, 'test.js')

describe('the border', () => {
  it('carries texts, numbers, bytes, booleans and undefined both ways', () => {
    evaluate(`
      globalThis.api = { take(...given) { for (const one of given) host.say(one instanceof ArrayBuffer ? 'bytes ' + new Uint8Array(one) : typeof one + ' ' + String(one)) } }
    `)
    engine.bind('api')
    engine.call('take', 'ä€𝄞', 1.5, true, false, undefined, new Uint8Array([1, 2, 255]), new Uint8Array(0))
    expect(said).toEqual([
      'string ä€𝄞',
      'number 1.5',
      'boolean true',
      'boolean false',
      'undefined undefined',
      'bytes 1,2,255',
      'bytes ',
    ])
  })

  it('passes bytes of any size to the engine, even if its memory must grow', () => {
    evaluate('const b = new Uint8Array(host.give(30000000)); host.say(b.length + " " + b[29999999])')
    expect(said).toEqual(['30000000 7'])
    evaluate('host.bytes(new Uint8Array([3, 4]).buffer); host.bytes(new ArrayBuffer(0))')
    expect(said.slice(1)).toEqual([Buffer.from([3, 4]), Buffer.alloc(0)])
  })

  it('frees the bytes that were passed to host functions', () => {
    evaluate('for (let i = 0; i < 200; i++) host.sha256(new ArrayBuffer(1000000))')
    expect(engine.memoryBytes).toBe(16 * 2 ** 20)
  })

  it('keeps the arguments of nested calls apart', () => {
    evaluate(`
      const text = { toString: () => { host.say('inner'); return 'QQ==' } }
      host.say(new Uint8Array(host.base64Decode(text)).join())
    `)
    expect(said).toEqual(['inner', '65'])
  })

  it('passes long texts', () => {
    evaluate('host.say("é".repeat(100000))')
    expect(said).toEqual(['é'.repeat(100_000)])
    evaluate('globalThis.api = { take(text) { host.say(String(text.length)) } }')
    engine.bind('api')
    engine.call('take', 'é'.repeat(100_000))
    expect(said[1]).toBe('100000')
  })

  it('throws in the engine when a host function throws or lacks an argument', () => {
    evaluate('try { host.fail() } catch (e) { host.say(e.message) }')
    evaluate('try { host.number() } catch (e) { host.say(e.message) }')
    evaluate('try { host.bytes("text") } catch (e) { host.say("refused") }')
    evaluate('try { host.bytes({}) } catch (e) { host.say("refused") }')
    expect(said).toEqual(['no such thing', 'argument 0: expected one, found none', 'refused', 'refused'])
  })
})

describe('the engine', () => {
  it('runs pending jobs after a call, in order', () => {
    evaluate(`
      globalThis.api = { async go() { await null; host.say('after'); await null; host.say('again') } }
    `)
    engine.bind('api')
    engine.call('go')
    expect(said).toEqual(['after', 'again'])
  })

  it('throws an exception with its stack, and fails every later call', () => {
    evaluate('globalThis.api = { go() { inner() } }; function inner() { throw new TypeError("broken") }')
    engine.bind('api')
    expect(() => engine.call('go')).toThrow(/TypeError: broken[^]*inner[^]*test\.js/)
    expect(() => engine.call('go')).toThrow(/broken/)
  })

  it.each([
    ['a loop', 'for (;;);'],
    ['a loop in a promise', 'Promise.resolve().then(() => { for (;;); })'],
    ['a loop in an async function that catches', '(async () => { await 0; try { for (;;); } catch {} })()'],
    ['endless jobs', 'const again = () => Promise.resolve().then(again); again()'],
  ])('interrupts %s', async (_, script) => {
    engine = await open(64 * 2 ** 20, 200)
    const started = performance.now()
    expect(() => evaluate(script)).toThrow('ran for more than 200 ms')
    expect(performance.now() - started).toBeLessThan(3000)
  })

  it('lets a script catch running out of memory or stack', async () => {
    engine = await open(32 * 2 ** 20)
    evaluate(
      'const kept = []; try { for (;;) kept.push(new Uint8Array(1000000)) } catch (e) { kept.length = 0; host.say(String(e)) }',
    )
    expect(said[0]).toContain('out of memory')
    expect(engine.memoryBytes).toBeLessThanOrEqual(32 * 2 ** 20)
    evaluate(
      'let n = 0; function deep() { n++; return deep() + 1 } try { deep() } catch (e) { host.say(String(e) + n) }',
    )
    expect(said[1]).toContain('stack')
    evaluate('try { JSON.parse("[".repeat(1000000)) } catch (e) { host.say("refused") }')
    expect(said[2]).toBe('refused')
  })
})
