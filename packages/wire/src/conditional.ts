/** Conditional requests, RFC 9110 §13: entity tags that come from the tree, so that a 304 needs no read of the content. */
import type { Hash } from '@service-fs/tlog/hash'
import type { Answer, Call, Shown } from './call.ts'

/** A weak tag, because a content coding changes the bytes but not the content (RFC 9110 §8.8.1). */
export type EntityTag = `W/"${string}"`

/** Returns the tag of a full tile or bundle: the hash of the tile, which the tile above it holds. */
export function tileTag(hash: Hash): EntityTag {
  return `W/"${hash}"`
}

/** Returns the tag of a checkpoint: the size and the root hash of its tree. */
export function checkpointTag(size: number, root: Hash): EntityTag {
  return `W/"${size}-${root}"`
}

/** Reports whether `If-None-Match` names the tag, by weak comparison (RFC 9110 §8.8.3.2). */
export function isUnchanged({ request }: Pick<Call, 'request'>, tag: EntityTag): boolean {
  const field = request.header('if-none-match')
  if (field === undefined) return false
  if (field.trim() === '*') return true
  // No tag of ours has a comma.
  return field.split(',').some((one) => {
    const given = one.trim()
    return (given.startsWith('W/') ? given : `W/${given}`) === tag
  })
}

/** Returns the 304 that replaces an answer with these header fields. Like HEAD, it shows no entries. */
export function unchanged(
  headers: Readonly<Record<string, string>>,
  shown: Shown,
  compressible: boolean,
): Answer {
  const { 'content-type': _, ...kept } = headers
  return { status: 304, headers: kept, body: '', compressible, shown: { ...shown, entries: 0 } }
}
