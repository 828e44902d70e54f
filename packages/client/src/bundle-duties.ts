/** The duties of the records in each entry bundle, for storage that can lock whole bundles only. */
import type { Duties, Kept } from '@service-fs/format/duties'
import { RETAIN_FIELD } from '@service-fs/format/duty'
import { fieldOf } from '@service-fs/format/entry'
import { TILE_WIDTH } from '@service-fs/tlog/tile'
import { entriesIn } from './retention.ts'
import type { TrustedTree } from './tree.ts'

/** How long something must be kept. */
export interface KeptLong {
  /** The latest time that a duty states; '' if none does. */
  until: string
  /** A hold is in force. */
  isHeld: boolean
}

export const NO_DUTY: KeptLong = { until: '', isHeld: false }

/** Returns the duties of two things that are kept together. */
export function longer(a: KeptLong, b: KeptLong): KeptLong {
  return { until: a.until > b.until ? a.until : b.until, isHeld: a.isHeld || b.isHeld }
}

/**
 * Returns how long each entry bundle of a tree must be kept, the last one included if it is not full. A split record keeps the bundle of
 * each of its parts. Reads and verifies the whole log.
 * @throws ClientError `false` when an entry differs from the tree of the checkpoint
 */
export async function bundleDuties(tree: TrustedTree, duties: Duties): Promise<KeptLong[]> {
  const kept: KeptLong[] = []
  let record = NO_DUTY
  for await (const { index, entry } of entriesIn(tree)) {
    const { id, type, time } = entry.header
    // Only the first part of a split record has the field.
    if (entry.continuation === undefined)
      record = keptLong(duties.of({ id, type, time, retainUntil: fieldOf(entry.header, RETAIN_FIELD) }))
    const bundle = Math.floor(index / TILE_WIDTH)
    kept[bundle] = longer(kept[bundle] ?? NO_DUTY, record)
  }
  return kept
}

function keptLong({ until, holds }: Kept): KeptLong {
  return { until: until ?? '', isHeld: holds.length > 0 }
}
