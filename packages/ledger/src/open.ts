/** Opens ledgers: recovers the stored data, makes it durable, and connects the parts of a ledger. */
import { Appender } from './appender.ts'
import { RecordClock } from './clock.ts'
import { stopReason, type LedgerError } from './errors.ts'
import { Extent } from './extent.ts'
import { Growth } from './growth.ts'
import { checkMark, MarkKeeper, shorterThan, sizeNoted } from './high-water-mark.ts'
import { Indexer } from './indexer.ts'
import { Ledger } from './ledger.ts'
import { DEFAULT_LIMITS } from './limits.ts'
import type { LedgerOptions } from './options.ts'
import { Publisher } from './publisher.ts'
import { Reader } from './reader.ts'
import { recoverReadOnly, type ReadOnlyOptions } from './read-only.ts'
import { MemoryIndex } from './record-index.ts'
import type { NewRecord, StoredRecord } from './record.ts'
import { Records } from './records.ts'
import { recover, type Recovered } from './recover.ts'
import { Scrub } from './scrub/scrub.ts'
import { SealedTiles } from './sealed-tiles.ts'
import { Sealer } from './sealer.ts'
import { Sequencer } from './sequencer.ts'
import { settle, type Settled } from './settle.ts'
import { TailWriter } from './tail-writer.ts'
import { Upkeep } from './upkeep.ts'

/**
 * Opens the ledger in `storage`, or creates an empty one there. Reads the checkpoint and the end of the tail only. Then reads in
 * the background what else appends need: the newest record's time and an up-to-date record index. See {@link Ledger.ready}.
 * @throws LedgerError `corrupt`, naming the file or the mark; nothing is changed then
 */
export async function openLedger(options: LedgerOptions): Promise<Ledger> {
  const { storage, runtime, mark, observer } = options
  const recovered = await recover(options)
  const accepted = mark && (await checkMark(mark, recovered, storage, runtime, options.acceptSize))
  if (accepted !== undefined) observer?.accepted?.(accepted)
  const settled = await settle(options, recovered)
  // Only now: settle() has made the recovered data durable.
  await mark?.begin(settled.head)
  return assemble(options, settled)
}

/**
 * Opens the ledger in `storage` for reading only, up to the newest commit that is known to be durable: see {@link recoverReadOnly}.
 * Writes nothing. Rejects appends with `how.why`, except of records that are already in the ledger.
 * @throws LedgerError `corrupt`, naming the file
 */
export async function openReadOnlyLedger(options: LedgerOptions, how: ReadOnlyOptions): Promise<Ledger> {
  const { mark, ...others } = options
  const marked = await sizeNoted(mark)
  const known = Math.max(how.known ?? 0, marked ?? 0)
  const { found, why, isWhole } = await recoverReadOnly(options, { ...how, known })
  const { size } = found.head
  await refuseOther(options, found, marked)
  const settled = { ...found, writer: new TailWriter(options, 0, 0) }
  return assemble(others, settled, {
    why: shorterThan(marked, size, why),
    isWhole: isWhole && marked !== undefined && size >= marked,
  })
}

/**
 * Rejects a tree that differs from the acknowledged one. Accepts a shorter tree: an operator may have opened a damaged ledger on purpose.
 */
async function refuseOther(
  { mark, storage, runtime }: LedgerOptions,
  found: Recovered,
  marked: number | undefined,
): Promise<void> {
  if (mark === undefined || marked === undefined || found.head.size < marked) return
  await checkMark(mark, found, storage, runtime)
}

/** The share of the cache's bytes that the binary forms of tiles have. */
const BINARY_SHARE = 5 / 8

/** Connects the parts. A ledger that takes appends begins to seal full bundles; see {@link Extent} for `isWhole`. */
function assemble(
  options: LedgerOptions,
  { head, edge, sealedEdge, memory, writer: tail, published }: Settled,
  readOnly?: { why: LedgerError; isWhole: boolean },
): Ledger {
  const { origin, signer, storage, runtime, mark, observer = {} } = options
  const limits = { ...DEFAULT_LIMITS, ...options.limits }
  const stop = (error: unknown): void => sequencer.stop(stopReason(error))

  const sequencer = new Sequencer({ origin, signer, runtime, limits }, edge, head, {
    write: (before, commit) => upkeep.write(before, commit),
    committed: (commit) => upkeep.committed(commit),
    betweenCommits: () => upkeep.betweenCommits().catch(stop),
    stopped: (reason) => observer.stopped?.(reason),
  })
  const extent = new Extent(() => sequencer.head, readOnly?.isWhole ?? true)
  const sealed = new SealedTiles(storage, runtime, sealedEdge, limits.cacheBytes * (1 - BINARY_SHARE))
  const reader = new Reader(sealed, memory, runtime, limits.cacheBytes * BINARY_SHARE)
  const records = new Records(extent, reader, runtime)

  const clock = new RecordClock(runtime, limits)
  const indexer = new Indexer({
    index: options.index ?? new MemoryIndex(),
    runtime,
    waitMs: limits.indexWaitMs,
    size: () => extent.size,
    rootAt: (size) => reader.root(size, extent.head),
    records: (from, to) => records.identifiers(from, to),
    progress: (covered, size) => observer.indexing?.({ covered, size }),
  })
  const entryOf = async (id: string, index: number): Promise<Uint8Array> =>
    (await records.startOf(id, index)) ?? indexer.discard(id, index)
  const recordOf = async (id: string, index: number): Promise<StoredRecord> => {
    await entryOf(id, index)
    return records.record(index)
  }
  const clockSet = setClock(clock, records, head.size)
  const entry = (index: number): Promise<Uint8Array> => records.entry(index)
  const appender = new Appender({ runtime, clock, indexer, sequencer, limits, recordOf, entry, clockSet })

  const publisher = new Publisher({ storage, runtime, failed: stop }, published)
  const marks = mark && new MarkKeeper(mark, head, stop)
  const growth = new Growth()
  const sealer = new Sealer({ sealed, memory, afterRound: () => upkeep.sealed(), failed: stop })
  const shared = { storage, runtime, observer, sealed, indexer, growth, sequencer }
  const upkeep = new Upkeep({ ...shared, memory, sealer, tail, publisher, marks })
  const identity = { origin, vkeys: [signer.vkey], limits }
  const read = { extent, reader, records, entryOf, recordOf }
  const append = (record: NewRecord): Promise<unknown> => appender.appendFresh([record])
  const scrub = options.scrub && new Scrub(options.scrub, { sealed, runtime, append })
  const ledger = new Ledger({ ...shared, ...identity, ...read, mark, clock, appender, upkeep, scrub })
  if (head.size > 0) publisher.offer(head.note)
  if (readOnly !== undefined) sequencer.stop(readOnly.why)
  // A failure shows in the status.
  ledger.ready().catch(() => undefined)
  if (readOnly === undefined) sealer.wake()
  scrub?.start()
  return ledger
}

/** Gives the clock the newest record's time. */
async function setClock(clock: RecordClock, records: Records, size: number): Promise<void> {
  if (size > 0) clock.seen((await records.parsed(size - 1)).header.time)
}
