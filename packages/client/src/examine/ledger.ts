/** Opens the ledger for a pack: verifies its signed checkpoint, and opens the tree that verifies every entry against it. */
import type { Checkpoint } from '@service-fs/tlog/checkpoint'
import type { Vkey } from '@service-fs/tlog/note'
import { checkPolicy } from '@service-fs/tlog/policy'
import { nativeCrypto } from '@service-fs/native/native'
import { checkEarlier, keysIn } from '../audit-place.ts'
import { ClientError } from '../errors.ts'
import { isUrl, withConnection, type ConnectionOptions } from '../http.ts'
import { ownKeyFiles } from '../key-files.ts'
import type { LedgerFiles } from '../ledger-files.ts'
import { filesSource, httpSource, type LogSource } from '../source.ts'
import { TrustedTree } from '../tree.ts'
import { Trust, type TrustOptions } from '../trust.ts'
import { withLedgerFiles } from '../verify-place.ts'
import { shownKeys } from '../verify-url.ts'

/** A ledger whose newest checkpoint is verified. */
export interface ExaminedLedger {
  origin: string
  checkpoint: Checkpoint
  /** The signed checkpoint. */
  note: string
  /** The vkeys by file name below keys/. */
  keys: ReadonlyMap<string, string>
  trust: Trust
  /** The key whose signature on the checkpoint verified. */
  signedBy: Vkey
  /** The cosignatures of witnesses that the policy names, with their times in POSIX seconds. */
  cosignatures: readonly { witness: string; time: number }[]
  tree: TrustedTree
  /** Earlier checkpoints that the tree extends. */
  earlier: readonly EarlierCheckpoint[]
}

export interface EarlierCheckpoint {
  size: number
  root: string
}

export interface ExamineOptions extends TrustOptions, ConnectionOptions {
  /** Signed checkpoints that someone kept. The tree must extend each one. */
  earlier?: readonly string[]
}

/**
 * Opens the ledger behind a URL, in a directory, in a tar archive or in a disk image, verifies its newest checkpoint, and runs `work`.
 * @throws ClientError `false` when the checkpoint does not verify; when the ledger can't be read
 */
export function withExamined<T>(
  place: string,
  options: ExamineOptions,
  work: (ledger: ExaminedLedger) => Promise<T>,
): Promise<T> {
  if (isUrl(place))
    return withConnection(place, options, async (connection) =>
      work(await examineSource(httpSource(connection), () => shownKeys(connection), 'v1/contract', options)),
    )
  return withLedgerFiles(place, options.moduleId, async (files) => {
    await checkIsLedger(files)
    return work(await examineSource(filesSource(files), () => keysIn(files), 'keys/', options))
  })
}

async function checkIsLedger(files: LedgerFiles): Promise<void> {
  if (!(await files.list('')).some(({ name }) => name === 'checkpoint' || name === 'origin'))
    throw new ClientError('file', `${files.place}: expected a ledger, found neither origin nor checkpoint`)
}

/**
 * Opens a log and verifies its newest checkpoint. `shown` returns the vkeys that the log shows, and `from` names their place.
 * @throws ClientError `false` when the checkpoint does not verify; like the source
 */
export async function examineSource(
  source: LogSource,
  shown: () => Promise<string[]>,
  from: string,
  options: TrustOptions & Pick<ExamineOptions, 'earlier'>,
): Promise<ExaminedLedger> {
  const trust = Trust.pinned(options) ?? Trust.shown(await shown(), from)
  const note = await source.checkpoint()
  const { checkpoint } = trust.openPublished(note)
  const { origin } = checkpoint
  const { cosignatures, logKey } = checkPolicy(trust.policy, note, { crypto: nativeCrypto })
  const keys = await ownKeyFiles(shown, trust, origin)
  // The pack's keys must verify its checkpoint, whichever keys were pinned.
  Trust.shown([...keys.values()], from).open(note, origin)
  const tree = await TrustedTree.open(source, checkpoint)
  const earlier: EarlierCheckpoint[] = []
  for (const text of options.earlier ?? []) {
    const before = trust.open(text, origin)
    await checkEarlier({ source }, before, checkpoint)
    earlier.push({ size: before.size, root: before.root })
  }
  return { origin, checkpoint, note, keys, trust, signedBy: logKey, cosignatures, tree, earlier }
}
