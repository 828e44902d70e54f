/** The bodies of the routes by which operators state something for the record: a short JSON object. */
import type { Codec } from '@service-fs/tlog/codec'

import { checkCharset } from './body-meaning.ts'
import { badField } from './fields.ts'
import { Problem } from './problem.ts'
import { mediaType, type WireRequest } from './request.ts'

const MAX_BODY_BYTES = 16_384

/** Rejects headers that are wrong for every body. @throws Problem 400, 415 */
export function operatorHead(request: Pick<WireRequest, 'header'>): void {
  const type = mediaType(request)
  checkCharset(request.header('content-type') ?? '')
  if (type !== 'application/json') throw badField('Content-Type', 'application/json', type ?? 'nothing')
}

/** Returns the JSON value of the body, which is not an array. @throws Problem 400, 413 */
export function operatorBody({ body }: Pick<WireRequest, 'body'>, codec: Codec): unknown {
  if (body.length > MAX_BODY_BYTES)
    throw new Problem('too-large', `body: expected at most ${MAX_BODY_BYTES} bytes, found ${body.length}`, {
      field: 'body',
      expected: MAX_BODY_BYTES,
      supplied: body.length,
    })
  const value = jsonOf(body, codec)
  if (Array.isArray(value)) throw badField('body', 'a JSON object', 'an array')
  return value
}

function jsonOf(body: Uint8Array, codec: Codec): unknown {
  if (body.includes(0)) throw badField('body', 'text without NUL bytes', 'a NUL byte')
  try {
    return JSON.parse(codec.utf8Decode(body))
  } catch {
    throw badField('body', 'JSON in UTF-8', 'invalid JSON')
  }
}
