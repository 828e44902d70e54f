/** The high-water marks of the acknowledged trees, for the bundle. */
import type { HighWaterMark } from '@service-fs/ledger/high-water-mark'
import type { KnownMark } from '@service-fs/bundle/host'

/** The mark of one ledger. */
export interface HostMark {
  mark: HighWaterMark
  /** The size of the tree that an operator accepts although it contradicts the mark. */
  accept?: number | undefined
}

export type HostMarks = readonly [main: HostMark, audit: HostMark]

/** Reads the marks. The result has a `problem` for each mark that cannot be read. */
export async function knownMarks(
  marks: HostMarks | undefined,
): Promise<[main: KnownMark, audit: KnownMark] | undefined> {
  return marks && [await knownMark(marks[0]), await knownMark(marks[1])]
}

async function knownMark({ mark, accept }: HostMark): Promise<KnownMark> {
  const place = { name: mark.name, ...(accept === undefined ? {} : { accept }) }
  try {
    const { size, root } = (await mark.read()) ?? {}
    return { ...place, ...(size === undefined ? {} : { size }), ...(root === undefined ? {} : { root }) }
  } catch (error) {
    return { ...place, problem: error instanceof Error ? error.message : String(error) }
  }
}
