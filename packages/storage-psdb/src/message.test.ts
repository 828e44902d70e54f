import { readFileSync } from 'node:fs'
import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  ANSWER,
  decodeResponse,
  encodeRequest,
  fieldName,
  KIND,
  LEDGER,
  MAX_SIZE,
  MAX_TIME,
  MESSAGE_BYTES,
  NAME_BYTES,
  OPCODE,
  QUEUE,
  REQUEST,
  RESPONSE,
  SECTOR,
  STATUS,
} from './message.ts'
import { encodeResponse } from './testing.ts'

const header = readFileSync(new URL('../../../microkit/psdb/message.h', import.meta.url), 'utf8')
const code = header.replaceAll(/\/\*[^]*?\*\//g, '')

/** The macros that are numbers. */
function macros(): Record<string, number> {
  const found = code.matchAll(/^#define PSDB_(\w+) (0[0-7]+|\d+)(?:ull)?$/gm)
  return Object.fromEntries(
    [...found].map(([, name = '', value = '']) => [
      name,
      value.startsWith('0') ? Number.parseInt(value, 8) : Number(value),
    ]),
  )
}

function enumeration(name: string): Record<string, number> {
  const body = new RegExp(`enum psdb_${name} \\{([^}]*)\\}`).exec(code)?.[1] ?? ''
  return Object.fromEntries([...body.matchAll(/PSDB_(\w+) = (\d+),/g)].map(([, key, n]) => [key, Number(n)]))
}

/** Offsets and sizes of a struct's fields, aligned as C aligns them; its size under ''. */
function layout(name: string): Record<string, [offset: number, bytes: number]> {
  const body = new RegExp(`struct psdb_${name} \\{([^}]*)\\}`).exec(code)?.[1] ?? ''
  const fields: Record<string, [number, number]> = {}
  let at = 0
  let widest = 1
  for (const [line, bits = '', field = '', count] of body.matchAll(/uint(\d+)_t (\w+)(?:\[(\w+)\])?;/g)) {
    expect(line).not.toBe('')
    const bytes = Number(bits) / 8
    const elements = count === undefined ? 1 : Number(count === 'PSDB_NAME_BYTES' ? NAME_BYTES : count)
    at = Math.ceil(at / bytes) * bytes
    widest = Math.max(widest, bytes)
    fields[field] = [at, bytes * elements]
    at += bytes * elements
  }
  expect(body.split(';').length - 1).toBe(Object.keys(fields).length)
  return { ...fields, '': [0, Math.ceil(at / widest) * widest] }
}

function offsets(name: string): Record<string, number> {
  const { '': _, ...fields } = layout(name)
  return Object.fromEntries(Object.entries(fields).map(([field, [offset]]) => [field, offset]))
}

/** One byte of 0xff in each field, so that a field of another size or place shows. */
const ones: Record<string, number> = { 1: 0xff, 4: 0xffffffff, 8: Number.MAX_SAFE_INTEGER }

describe('the messages, compared with message.h', () => {
  it('have the same constants', () => {
    expect(macros()).toEqual({
      MESSAGE_BYTES,
      SECTOR,
      NAME_BYTES,
      QUEUE,
      MAX_TIME,
      MAX_SIZE,
    })
    expect(code.match(/^#define PSDB_\w+ /gm)).toHaveLength(6)
    expect(enumeration('opcode')).toEqual(OPCODE)
    expect(enumeration('kind')).toEqual(KIND)
    expect(enumeration('ledger')).toEqual(LEDGER)
    expect(enumeration('status')).toEqual(STATUS)
    expect(code.match(/^enum /gm)).toHaveLength(4)
    expect(header).toContain(`the request's | 0x${ANSWER.toString(16)} */`)
  })

  it('have the same fields at the same offsets', () => {
    expect(offsets('request')).toEqual(REQUEST)
    expect(offsets('response')).toEqual(RESPONSE)
    expect(layout('request')['']).toEqual([0, MESSAGE_BYTES])
    expect(layout('response')['']).toEqual([0, MESSAGE_BYTES])
    expect(code.match(/^struct /gm)).toHaveLength(2)
  })

  it('write each field of a request in its size', () => {
    const { '': _, name: __, ...fields } = layout('request')
    for (const [field, [offset, bytes]] of Object.entries(fields)) {
      const base = { id: 0, opcode: 0 as never, ledger: 0 as const }
      const message = encodeRequest({ ...base, [field]: ones[bytes] })
      const expected = new Uint8Array(MESSAGE_BYTES).fill(0xff, offset, offset + bytes)
      if (bytes === 8) expected.set([0x1f, 0], offset + 6)
      expect(message, field).toEqual(expected)
    }
    const name = 'abcdefghijklmno-'
    const message = encodeRequest({ id: 0, opcode: OPCODE.READ, ledger: 0, name })
    expect(Buffer.from(message.subarray(REQUEST.name)).toString()).toBe(name)
    expect(() => encodeRequest({ id: 0, opcode: 1, ledger: 0, name: `${name}x` })).toThrow('16 characters')
    expect(() => encodeRequest({ id: 0, opcode: 1, ledger: 0, at: 2 ** 53 })).toThrow('at: 9007199254740992')
    expect(() => encodeRequest({ id: 0, opcode: 1, ledger: 0, index: -1 })).toThrow('index: -1')
  })

  it('read each field of a response in its size', () => {
    const { '': _, zero: __, reserved: ___, ...fields } = layout('response')
    for (const [field, [offset, bytes]] of Object.entries(fields)) {
      const message = new Uint8Array(MESSAGE_BYTES).fill(0xff, offset, offset + bytes)
      if (bytes === 8) message.set([0x1f, 0], offset + 6)
      const none = {
        id: 0,
        opcode: 0,
        status: 0,
        field: 0,
        value: 0,
        extra: 0,
        index: 0,
        offset: 0,
        length: 0,
      }
      expect(decodeResponse(message), field).toEqual({ ...none, [field]: ones[bytes] })
    }
    expect(() => decodeResponse(new Uint8Array(63))).toThrow('expected 64 bytes, found 63')
  })

  it('keep numbers above 2^53 - 1 above it', () => {
    const message = new Uint8Array(MESSAGE_BYTES)
    const view = new DataView(message.buffer)
    const large = fc.bigInt({ min: 2n ** 53n, max: 2n ** 64n - 1n })
    fc.assert(
      fc.property(large, (number) => {
        view.setBigUint64(RESPONSE.value, number, true)
        return !Number.isSafeInteger(decodeResponse(message).value)
      }),
    )
  })

  it('decode to the encoded values', () => {
    const u8 = fc.nat(0xff)
    const u32 = fc.nat(0xffffffff)
    const u64 = fc.maxSafeNat()
    const response = fc.record({
      id: u32,
      opcode: u8,
      status: u8,
      field: u8,
      value: u64,
      extra: u64,
      index: u64,
      offset: u32,
      length: u32,
    })
    fc.assert(
      fc.property(response, (fields) => {
        const padded = new Uint8Array(MESSAGE_BYTES + 3)
        padded.set(encodeResponse(fields), 3)
        expect(decodeResponse(padded.subarray(3))).toEqual(fields)
      }),
    )
  })

  it('name the fields', () => {
    expect(fieldName(REQUEST.size)).toBe('size')
    expect(fieldName(63)).toBe('at byte 63')
  })
})
