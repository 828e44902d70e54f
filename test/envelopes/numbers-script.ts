// The core's number reader and writer, alone in an engine.

import { canonicalJson, parseJson } from '@service-fs/wire/canonicaljson'

declare const host: { said(lines: string): void }
const bytes = new DataView(new ArrayBuffer(8))

/** The answer to one line of test/envelopes/numbers/main.go. */
export function answer(line: string): string {
  const [kind, of = ''] = line.split(' ')
  if (kind === 'bits') {
    bytes.setUint32(0, parseInt(of.slice(0, 8), 16))
    bytes.setUint32(4, parseInt(of.slice(8), 16))
    return canonicalJson(bytes.getFloat64(0))
  }
  try {
    const text = canonicalJson(parseJson(of))
    // Inside an array the writer takes another path to the same text.
    const among = canonicalJson(parseJson(`{"a":[${of}]}`))
    return among === `{"a":[${text}]}` ? text : `${text}, but ${among}`
  } catch {
    return 'refused'
  }
}

const numbers = {
  answer: (lines: string): void => host.said(lines.split('\n').map(answer).join('\n')),
}

Object.assign(globalThis, { serviceFs: numbers })
