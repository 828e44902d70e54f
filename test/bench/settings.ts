// The settings of each side. Tessera's settings are the best that a search found for each load.

/** Flags of the Tessera server in this folder; ages and intervals as Go durations. */
export interface TesseraSettings {
  /** The number of entries that make a batch (WithBatching). */
  batchSize: number
  /** How long the first entry of a batch waits for the others (WithBatching). */
  batchAge: string
  /** WithCheckpointInterval; 100ms is the least that Tessera's POSIX driver takes. */
  checkpointInterval: string
}

/**
 * The moment at which Tessera's side answers. `integrated`: when the entries are durable and integrated, before a signed checkpoint
 * covers them. `published`: when a published checkpoint covers them; the answer has that checkpoint, like those of service-fs.
 */
export type Await = 'integrated' | 'published'

/** An append load. */
export interface Phase {
  name: string
  mode: 'single' | 'batch'
  /** Concurrent clients; each has one request in flight. */
  clients: number
  /** Records in a request. */
  batch: number
  /** Bytes of a payload. */
  payload: number
  tessera: Record<Await, TesseraSettings>
}

function settings(batchSize: number, batchAge: string, checkpointInterval: string): TesseraSettings {
  return { batchSize, batchAge, checkpointInterval }
}

/**
 * Tessera's settings, from a search on 2 cores and a disk that makes 4 KiB durable in well under a millisecond. `--tune` repeats the
 * search, which takes minutes for each load. It tries batch sizes from a quarter of the entries that all clients can have waiting to
 * twice as many, and ages of 1, 5, 20 and 50 ms; then it runs the best ones for longer, with checkpoint intervals of 100 ms and 1 s.
 * For published answers and 256 or more clients, it tried only a part of these.
 *
 * The best batch has as many entries as all clients have waiting, up to some 1,000: it fills as soon as all clients wait, and never
 * reaches its age limit. A client that waits for publication waits for the checkpoint interval, whatever the batches are, and 100 ms
 * is the shortest interval. The settings for 16 clients, with 1 or 100 records each, follow this rule. 64 clients
 * with 1 KiB use the settings of 64 clients with 200 B.
 */
export const phases: readonly Phase[] = [
  append('append-16', 16, 1, 200, settings(16, '20ms', '1s'), settings(16, '20ms', '100ms')),
  append('append-64', 64, 1, 200, settings(64, '20ms', '1s'), settings(64, '20ms', '100ms')),
  append('append-256', 256, 1, 200, settings(256, '50ms', '100ms'), settings(256, '20ms', '100ms')),
  append('append-1k', 64, 1, 1024, settings(64, '20ms', '1s'), settings(64, '20ms', '100ms')),
  append('batch-100', 16, 100, 200, settings(1600, '20ms', '1s'), settings(1600, '5ms', '100ms')),
  append('batch-1000', 8, 1000, 200, settings(4096, '50ms', '100ms'), settings(8192, '5ms', '100ms')),
]

/** Tessera's settings for loads of one or a hundred clients that read. */
export const forReads: TesseraSettings = settings(4096, '20ms', '1s')

function append(
  name: string,
  clients: number,
  batch: number,
  payload: number,
  integrated: TesseraSettings,
  published: TesseraSettings,
): Phase {
  const mode = batch === 1 ? 'single' : 'batch'
  return { name, mode, clients, batch, payload, tessera: { integrated, published } }
}

/**
 * Bulk import: the best number of posters and of records per request for each side. For Tessera the search imported 300,000 records,
 * with 8, 16 and 32 posters of 1,000 and 8 and 16 posters of 4,000; with batches of 4,096, 8,192 and 16,384; and with ages of 20 and
 * 50 ms.
 */
export const bulk = {
  serviceFs: { clients: 4, batch: 1000 },
  tessera: { clients: 8, batch: 1000, settings: settings(4096, '20ms', '1s') },
}
