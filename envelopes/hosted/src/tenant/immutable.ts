/** Chooses the process that sets file attributes on a tenant's files: the supervisor that started this process, or this process itself. */
import { existsSync } from 'node:fs'
import { dirname } from 'node:path'
import type { FileFlags, LocalFlags } from '@service-fs/storage-posix/flags'
import { HostedError } from '@service-fs/http/errors'
import { processFacts } from '../process/process-facts.ts'

/**
 * Whether file attributes make sealed files immutable. `auto`: if the system allows it; `required`: if not, the daemon does not
 * start.
 */
export type ImmutableMode = 'auto' | 'off' | 'required'

export const IMMUTABLE_MODES: readonly ImmutableMode[] = ['auto', 'off', 'required']

export type FlagsSetter =
  | { readonly flags: FileFlags; readonly by: 'supervisor' | 'daemon' }
  | { readonly flags?: never; readonly by: 'nobody'; readonly reason: string }

/**
 * Returns the flags for the files of the ledger in `dir`, set by the supervisor or by this process. The supervisor has created
 * `dir`; without a supervisor, it need not exist yet.
 * @throws HostedError `immutable`: attributes are required, and cannot be set
 */
export async function flagsSetter(
  mode: ImmutableMode,
  dir: string,
  supervised: boolean,
): Promise<FlagsSetter> {
  if (mode === 'off') return { by: 'nobody', reason: 'not requested (--immutable)' }
  const found = supervised
    ? await (await import('../host/flag-client.ts')).supervisorFlags(dir)
    : await ownFlags(dir)
  if ('flags' in found) return { flags: found.flags, by: supervised ? 'supervisor' : 'daemon' }
  if (mode === 'required') throw new HostedError('immutable', `--immutable required: ${found.reason}`)
  return { by: 'nobody', reason: found.reason }
}

async function ownFlags(dir: string): Promise<LocalFlags> {
  // Do not load koffi, which takes memory, if the calls would fail.
  if (processFacts('self')?.setsFlags === false) {
    const system = process.platform === 'linux' ? 'CAP_LINUX_IMMUTABLE' : 'root'
    return { reason: `the process may not set file attributes: it needs ${system}` }
  }
  let there = dir
  while (!existsSync(there)) there = dirname(there)
  return (await import('@service-fs/storage-posix/flags')).localFlags(there)
}
