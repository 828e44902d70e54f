// Chooses the sources that clang-tidy checks, and the flags for each.
import { engineSources } from './engine/build.mjs'
import { crateFlags, networkFlags } from './build.mjs'

/** @typedef {'nothing' | 'crates' | 'engine' | 'disk'} Needs the source of a group's headers */
/** @typedef {{ begins: string, needs: Needs, flags: () => string[] }} HostGroup */

/** The sources that are built for a host, by the beginning of their paths; the first group that fits counts. @type {HostGroup[]} */
const HOST_GROUPS = [
  {
    begins: 'psdb/host/',
    needs: 'nothing',
    flags: () => words('-std=c11 -D_DEFAULT_SOURCE -DOPENSSL_SUPPRESS_DEPRECATED -DPSDB_FAULTS -Ipsdb'),
  },
  { begins: 'psdb/test/', needs: 'nothing', flags: () => words('-std=c11 -D_GNU_SOURCE') },
  { begins: 'psdb/fuzz/', needs: 'nothing', flags: () => words('-std=c11 -D_GNU_SOURCE') },
  { begins: 'psdb/', needs: 'nothing', flags: () => words('-std=c11 -ffreestanding') },
  { begins: 'keys/test/', needs: 'crates', flags: () => [...words('-std=gnu11 -I.'), ...crateFlags()] },
  {
    begins: 'ledger/test/',
    needs: 'engine',
    // The tests' own headers come first: they stand in for those of a protection domain.
    flags: () => [
      ...words('-std=gnu11 -D_GNU_SOURCE -Iledger/test -I. -isystem'),
      engineSources(),
      ...crateFlags(),
    ],
  },
  {
    begins: '../test/appliance/c/net',
    needs: 'crates',
    flags: () => [...words('-std=c11 -I../test/appliance/c/net -I.'), ...networkFlags()],
  },
  { begins: '../test/appliance/c/', needs: 'nothing', flags: () => words('-std=c11 -I.') },
  {
    begins: '../test/crash/',
    needs: 'disk',
    flags: () => words('-D_GNU_SOURCE -D_FILE_OFFSET_BITS=64 -I/usr/include/fuse3'),
  },
]

/** @param {string} text */
function words(text) {
  return text.split(' ')
}

/**
 * @typedef {object} Machine the headers and flags that this machine has
 * @property {Record<Needs | 'domains', string[]>} lacking what is missing on this machine, by what needs it
 * @property {Map<string, string[]>} domains the flags of the protection domains' sources, by path
 */

/**
 * @param {string[]} paths
 * @param {Machine} machine
 * @returns {{ jobs: { path: string, flags: string[] }[], skipped: string[], uncovered: string[] }} `skipped` and `uncovered`: one
 *   line for each part that this machine cannot check, and for each source that belongs to no part
 */
export function tidyJobs(paths, { lacking, domains }) {
  /** @type {{ path: string, flags: string[] }[]} */
  const jobs = []
  const skipped = new Set(
    lacking.domains.map((what) => `clang-tidy of the protection domains: missing ${what}`),
  )
  /** @type {string[]} */
  const uncovered = []
  for (const path of paths.filter((each) => each.endsWith('.c'))) {
    const group = HOST_GROUPS.find(({ begins }) => path.startsWith(begins))
    if (group === undefined) {
      const flags = domains.get(path)
      if (flags !== undefined) jobs.push({ path, flags })
      else if (lacking.domains.length === 0)
        uncovered.push(`${path}: expected it in HOST_GROUPS of tidy.mjs, or in a protection domain`)
    } else if (lacking[group.needs].length === 0) jobs.push({ path, flags: group.flags() })
    else
      for (const what of lacking[group.needs]) skipped.add(`clang-tidy of ${group.begins}: missing ${what}`)
  }
  return { jobs, skipped: [...skipped], uncovered }
}
