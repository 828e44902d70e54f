// Types and names that every load uses.

import type { Build } from '../builds.ts'
import type { Side } from '../contest.ts'
import type { Fixtures } from '../fixtures.ts'
import type { Options } from '../options.ts'

export interface Context {
  options: Options
  /** The directory for the ledgers. */
  dir: string
  /** The revisions of service-fs: the working tree first, unless only Tessera runs. */
  builds: readonly Build[]
  fixtures: Fixtures
}

/** Returns one side for each revision of service-fs. With a single revision the side does not name it. */
export function sidesOfBuilds(
  { builds }: Context,
  name: string,
  run: (build: Build) => ReturnType<Side['run']>,
): Side[] {
  return builds.map((build) => ({
    name,
    ...(builds.length > 1 ? { build: build.name } : {}),
    run: () => run(build),
  }))
}

export const SERVICE_FS = 'service-fs'
/** Tessera, answering when the entries are integrated, which is before a checkpoint covers them. */
export const TESSERA = 'tessera'
/** Tessera, answering when a published checkpoint covers the entries, as service-fs does. */
export const PUBLISHED = 'tessera published'
