/** Who sets file attributes on a tenant's files: the supervisor that started this process, or the process itself. */
import { existsSync } from 'node:fs'
import { dirname } from 'node:path'
import type { FileFlags, LocalFlags } from '@service-fs/storage-posix/flags'
import { HostedError } from '@service-fs/http/errors'
import { processFacts } from '../process/process-facts.ts'

/** Whether file attributes keep what is sealed from everybody. `auto`: where they can be had; `required`: nothing runs without. */
export type ImmutableMode = 'auto' | 'off' | 'required'

export const IMMUTABLE_MODES: readonly ImmutableMode[] = ['auto', 'off', 'required']

export type FlagsSetter =
  | { readonly flags: FileFlags; readonly by: 'supervisor' | 'daemon' }
  | { readonly flags?: never; readonly by: 'nobody'; readonly reason: string }

/**
 * What sets attributes on the files of the ledger in `dir`: the supervisor, who made that directory, or this process; then it need
 * not be there yet.
 * @throws HostedError `immutable`: they are required, and can't be had
 */
export async function flagsSetter(
  mode: ImmutableMode,
  dir: string,
  supervised: boolean,
): Promise<FlagsSetter> {
  if (mode === 'off') return { by: 'nobody', reason: 'not asked for (--immutable)' }
  const found = supervised
    ? await (await import('../host/flag-client.ts')).supervisorFlags(dir)
    : await ownFlags(dir)
  if ('flags' in found) return { flags: found.flags, by: supervised ? 'supervisor' : 'daemon' }
  if (mode === 'required') throw new HostedError('immutable', `--immutable required: ${found.reason}`)
  return { by: 'nobody', reason: found.reason }
}

async function ownFlags(dir: string): Promise<LocalFlags> {
  // Trying takes memory.
  if (processFacts('self')?.setsFlags === false) {
    const system = process.platform === 'linux' ? 'CAP_LINUX_IMMUTABLE' : 'root'
    return { reason: `the process may not set file attributes: that takes ${system}` }
  }
  let there = dir
  while (!existsSync(there)) there = dirname(there)
  return (await import('@service-fs/storage-posix/flags')).localFlags(there)
}
