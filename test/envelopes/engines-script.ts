// The operations, besides numbers, that the core delegates to the engine: sorting, escapes, times, percent-encoding, patterns.

import { idProblem, parseEntry, typeProblem } from '@service-fs/format/entry'
import { httpDate } from '@service-fs/bundle/http-answer'
import { RecordClock } from '@service-fs/ledger/clock'
import { pureCodec } from '@service-fs/tlog/codec'
import { canonicalJson, canonicalString, parseJson } from '@service-fs/wire/canonicaljson'
import { percentDecode } from '@service-fs/wire/fields'
import { mediaType } from '@service-fs/wire/request'

declare const host: { said(text: string): void }

function attempt(run: () => string): string {
  try {
    return run()
  } catch {
    return 'refused'
  }
}

const header = (value: string) => ({
  header: (name: string) => (name === 'content-type' ? value : undefined),
})

/** Each takes a JSON value and returns one. */
export const ASKED: Readonly<Record<string, (given: any) => unknown>> = {
  /** Sorts member names into their stored order. */
  names: (names: string[]) => {
    const text = `{${names.map((name) => `${JSON.stringify(name)}: 0`).join(',')}}`
    return [...canonicalJson(parseJson(text)).matchAll(/("(?:[^"\\]|\\.)*"):0/gu)].map(([, name]) => name)
  },
  /** The stored text of a string of these UTF-16 code units. */
  strings: (all: number[][]) =>
    all.map((units) => attempt(() => canonicalString(String.fromCharCode(...units)))),
  /** Whether a text may be an identifier and a type. */
  texts: (all: number[][]) =>
    all.map((units) => {
      const text = `a${String.fromCharCode(...units)}`
      return [idProblem(text) === undefined, typeProblem(text) === undefined]
    }),
  /** A time as an entry has it, and as an HTTP header has it. */
  times: (all: number[]) =>
    all.map((ms) => [
      attempt(() =>
        new RecordClock(
          { now: () => ms, monotonic: () => 0 },
          { clockToleranceMs: 0, clockAheadMs: 0 },
        ).stamp(),
      ),
      attempt(() => httpDate(ms)),
    ]),
  /** Whether an entry may have this time. */
  entryTimes: (all: string[]) =>
    all.map((time) => {
      const entry = `service-fs/entry/v1\nid: a\ntype: b\ntime: ${time}\n\n`
      return attempt(() => parseEntry(pureCodec.utf8Encode(entry)).header.time) === time
    }),
  percent: (all: string[]) => all.map((text) => attempt(() => percentDecode(text, 'id'))),
  mediaTypes: (all: string[]) => all.map((text) => mediaType(header(text) as never)),
}

const engine = {
  ask: (what: string, given: string): void =>
    host.said(JSON.stringify((ASKED[what] as (given: unknown) => unknown)(JSON.parse(given)))),
}

Object.assign(globalThis, { serviceFs: engine })
