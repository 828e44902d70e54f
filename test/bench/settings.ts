// The settings of each side. Tessera's settings are the best that a search found for each load.

/** Flags of the Tessera server in this folder; ages and intervals as Go durations. */
export interface TesseraSettings {
  /** WithBatching: how many entries make a batch, */
  batchSize: number
  /** and how long the first waits for the others. */
  batchAge: string
  /** WithCheckpointInterval; 100ms is the least that Tessera's POSIX driver takes. */
  checkpointInterval: string
}

/**
 * The moment at which Tessera's side answers. `integrated`: when the entries are durable and integrated, before a signed checkpoint
 * covers them. `published`: when a published checkpoint covers them, and with it, as service-fs answers.
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
 * Tessera's settings were found on 2 cores and a disk that makes 4 KiB durable in well under a millisecond, by the search
 * that `--tune` repeats (it takes minutes per load; for published answers it tried only part of the grid from 256 clients
 * up): a grid of batch sizes (a quarter to twice of what the clients can have waiting) and ages (1, 5, 20, 50 ms), then the
 * best again for longer with checkpoint intervals of 100 ms and 1 s. The best batch is as large as what all clients have
 * waiting, as long as that is below some 1,000 entries: it fills as soon as all clients wait, and never reaches its age
 * limit. A client that waits for publication waits for the checkpoint interval, whatever the batches are, and 100 ms is the
 * shortest. The settings of 16 clients and of 16 × 100 follow this rule; those of 64 × 1 KiB are those of 64 × 200 B.
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
 * Bulk import: the best number of posters and of records per request for each side. Tessera's was found with imports of 300,000
 * by 8, 16 and 32 posters of 1,000 and 8 and 16 posters of 4,000, batches of 4,096, 8,192 and 16,384, ages of 20 and
 * 50 ms.
 */
export const bulk = {
  serviceFs: { clients: 4, batch: 1000 },
  tessera: { clients: 8, batch: 1000, settings: settings(4096, '20ms', '1s') },
}
