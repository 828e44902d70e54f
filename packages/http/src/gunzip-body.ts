/** Decodes request bodies with `Content-Encoding: gzip` (RFC 1952), within the limits of bodies without it. */
import { createGunzip } from 'node:zlib'
import { busy, tooLarge, type Budget } from '@service-fs/wire/body-limits'
import type { Coding } from '@service-fs/wire/request'
import { Problem } from '@service-fs/wire/problem'

/** The content codings that requests may use. */
export const CODINGS: readonly Coding[] = ['gzip']

const PIECE_BYTES = 64 * 1024

/**
 * Returns the decoded body, or the problem to answer: 413 beyond `limit` bytes, 503 when the budget is exhausted, 400 when the body
 * is not a gzip file or has bytes after it. Decoding stops at the first problem. The bytes of a returned body are taken from the
 * budget; the caller releases them.
 */
export async function gunzipBody(
  coded: Uint8Array,
  limit: number,
  budget: Budget,
): Promise<Uint8Array | Problem> {
  const gunzip = createGunzip({ chunkSize: PIECE_BYTES })
  gunzip.end(coded)
  const pieces: Buffer[] = []
  let length = 0
  try {
    for await (const piece of gunzip as AsyncIterable<Buffer>) {
      if (length + piece.length > limit) throw tooLarge(limit, 'more')
      if (!budget.take(piece.length)) throw busy()
      length += piece.length
      pieces.push(piece)
    }
    // zlib ignores bytes after the last member.
    if (gunzip.bytesWritten !== coded.length) throw notGzip('bytes after its end')
    return Buffer.concat(pieces, length)
  } catch (error) {
    budget.release(length)
    if (error instanceof Problem) return error
    return notGzip(error instanceof Error ? error.message : 'other bytes')
  } finally {
    gunzip.destroy()
  }
}

function notGzip(found: string): Problem {
  const expected = 'a whole gzip file, as Content-Encoding says'
  return new Problem('bad-request', `body: expected ${expected}, found: ${found}`, {
    field: 'body',
    expected,
    supplied: found,
  })
}
