// What reads JSON in the bundle, alone in an engine.

import { allowanceFor, canonicalJson, JsonError, MAX_VALUES, parseJson } from '@service-fs/wire/canonicaljson'

declare const host: { said(outcome: string): void }
const reader = {
  /** Says `read`, or what a JsonError's code is. */
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
