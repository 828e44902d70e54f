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

export interface Phase {
  name: string
  mode: 'single' | 'batch' | 'read'
  /** Concurrent clients; each has one request in flight. */
  clients: number
  /** Records in a request. */
  batch: number
  tessera: Record<Await, TesseraSettings>
}

function settings(batchSize: number, batchAge: string, checkpointInterval: string): TesseraSettings {
  return { batchSize, batchAge, checkpointInterval }
}

/**
 * Tessera's settings were found on 2 cores and a disk that makes 4 KiB durable in well under a millisecond, by the search
 * that `--tune` makes again (which takes minutes a load; for published answers only part of the grid was tried from 256
 * clients up): a grid of batch sizes (a quarter to twice of what the clients can have waiting) and ages (1, 5, 20,
 * 50 ms), the best again for longer with checkpoint intervals of 100 ms and 1 s. A batch as large as what all clients
 * have waiting is best as long as that is below some 1,000 entries: it fills, and is written, as soon as all clients
 * wait, and never reaches its age limit. A client that waits for publication waits for the checkpoint interval,
 * whatever the batches are, and 100 ms is the shortest.
 */
export const phases: readonly Phase[] = [
  append('64 clients', 64, 1, settings(64, '20ms', '1s'), settings(64, '20ms', '100ms')),
  append('256 clients', 256, 1, settings(256, '50ms', '100ms'), settings(256, '20ms', '100ms')),
  append('batches of 100, 4 posters', 4, 100, settings(400, '50ms', '1s'), settings(400, '5ms', '100ms')),
  append('batches of 100, 8 posters', 8, 100, settings(800, '20ms', '1s'), settings(800, '5ms', '100ms')),
  append(
    'batches of 1000, 4 posters',
    4,
    1000,
    settings(1024, '50ms', '100ms'),
    settings(1024, '20ms', '100ms'),
  ),
  append(
    'batches of 1000, 8 posters',
    8,
    1000,
    settings(4096, '50ms', '100ms'),
    settings(8192, '5ms', '100ms'),
  ),
  { ...append('reads', 64, 1, settings(4096, '20ms', '1s'), settings(4096, '20ms', '100ms')), mode: 'read' },
]

function append(
  name: string,
  clients: number,
  batch: number,
  integrated: TesseraSettings,
  published: TesseraSettings,
): Phase {
  return { name, mode: batch === 1 ? 'single' : 'batch', clients, batch, tessera: { integrated, published } }
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
