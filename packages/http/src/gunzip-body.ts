/** Bodies of requests with `Content-Encoding: gzip` (RFC 1952), decoded within the limits of bodies that come as they are. */
import { createGunzip } from 'node:zlib'
import { busy, tooLarge, type Budget } from '@service-fs/wire/body-limits'
import type { Coding } from '@service-fs/wire/request'
import { Problem } from '@service-fs/wire/problem'

/** The content codings that are undone. */
export const CODINGS: readonly Coding[] = ['gzip']

const PIECE_BYTES = 64 * 1024

/**
 * What a gzip file holds; or why it is refused: 413 beyond `limit` bytes, 503 when the budget is spent, 400 when it is no gzip file or
 * more bytes follow it. Decoding ends there. The bytes of a body that is returned are taken from the budget: the caller releases them.
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
    // zlib passes over what follows the last member.
    if (gunzip.bytesWritten !== coded.length) throw notGzip('more bytes behind it')
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
