// The bundle's JSON reader, alone in an engine.

import { allowanceFor, canonicalJson, JsonError, MAX_VALUES, parseJson } from '@service-fs/wire/canonicaljson'

declare const host: { said(outcome: string): void }
const reader = {
  /** Returns `read`, or the code of the JsonError. */
  read(text: string): void {
    try {
      canonicalJson(parseJson(text, allowanceFor(text, MAX_VALUES)))
      host.said('read')
    } catch (error) {
      if (!(error instanceof JsonError)) throw error
      host.said(error.code)
    }
  },
}

Object.assign(globalThis, { serviceFs: reader })
