// Tests the JSON bodies that cost QuickJS most: it parses each, or rejects it with a code, within a tenant's memory and time.

import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { Engine } from '@service-fs/engine-host/engine'
import { MAX_VALUES } from '@service-fs/wire/canonicaljson'
import { QUICK } from '../support/quick.ts'
import { repoRoot } from '../support/root.ts'
import { nothing, script } from './quickjs.ts'

/** The memory of each of two tenants of the appliance is 176 MiB, including the body's bytes. */
const MEMORY = 150 * 2 ** 20
/** Processor time; the longest takes 2 s. */
const CALL_MS = 20_000
/** The engine's own limit counts the time that other processes take. */
const WALL_MS = 600_000
/** The largest body of a JSON append. */
const BYTES = 22_373_000

const array = (before: string, element: string, count: number): string =>
  `[${before}${`${element},`.repeat(count)}0]`
/** As many elements as fit, in a form unlike JSON.stringify's. */
const full = (element: string, values: number): string =>
  array('null ,', element, Math.floor((MAX_VALUES - 3) / values))
const long = (before: string, unit: string, after: string): string =>
  `[0 ,${before}${unit.repeat(Math.floor((BYTES - 20) / unit.length))}${after}]`

const nested = '['.repeat(120) + ']'.repeat(120)
const names = Array.from({ length: MAX_VALUES / 2 - 1 }, (_, i) => `"${i}x":0`)
  .toReversed()
  .join(' ,')

const BODIES: readonly (readonly [name: string, text: string, outcome: string])[] = [
  ['objects', full('{}', 1), 'read'],
  ['arrays', full('[]', 1), 'read'],
  ['numbers', full('1.5 ', 1), 'read'],
  ['objects in objects', full('{"a":{}}', 3), 'read'],
  ['names out of order', full('{"b":0,"a":0}', 5), 'read'],
  ['nesting', full(nested, 120), 'read'],
  ['members of one object', `{${names}}`, 'read'],
  ['objects, as many as fit', array('', '{}', Math.floor(BYTES / 3) - 2), 'too-many'],
  ['names, as many as fit', long('{"a":0}', ',{"a":0}', ''), 'too-many'],
  ['spaces', long('', ' ', '0'), 'read'],
  ['escaped quotes', long('"', '\\"', '"'), 'read'],
  ['escaped backslashes', long('"', '\\\\', '"'), 'read'],
  ['digits', long('1', '1', ''), 'malformed'],
  ['digits of a fraction', long('0.', '1', ''), 'malformed'],
  ['a string without end', long('"', '\\"', ''), 'malformed'],
]

describe('JSON in QuickJS', () => {
  it.each(
    QUICK ? BODIES.filter(([name]) => ['arrays', 'names, as many as fit', 'digits'].includes(name)) : BODIES,
  )('%s', async (_, text, outcome) => {
    expect(text.length).toBeLessThanOrEqual(BYTES)
    const engine = await Engine.create({ memoryBytes: MEMORY, callMs: WALL_MS })
    let said = ''
    engine.define('host', { said: nothing((given) => (said = given.text(0))) })
    engine.evaluate(await script(join(repoRoot, 'test/envelopes/json-script.ts')), 'json.js')
    engine.bind('serviceFs')
    const before = process.cpuUsage()
    engine.call('read', text)
    const { user, system } = process.cpuUsage(before)
    expect((user + system) / 1000).toBeLessThan(CALL_MS)
    expect(said).toBe(outcome)
  })
})
