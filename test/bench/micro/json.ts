// Strict JSON, and canonical JSON (RFC 8785).

import { canonicalJson, parseJson } from '@service-fs/wire/canonicaljson'
import { payloadOf } from './data.ts'
import { equals } from './expect.ts'
import type { Micro } from './measure.ts'

const text = payloadOf(1)
const value: unknown = JSON.parse(text)

export const micros: Micro[] = [
  { name: 'JSON: parse strictly', operations: 1, run: () => parseJson(text), check: equals(value) },
  { name: 'JSON: canonical text', operations: 1, run: () => canonicalJson(value), check: equals(text) },
  {
    name: 'JSON: parse strictly, then canonical text',
    operations: 1,
    run: () => canonicalJson(parseJson(text)),
    check: equals(text),
  },
]
