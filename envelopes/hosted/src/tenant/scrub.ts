/** The background check of a ledger directory. */
import { randomUUID } from 'node:crypto'
import { mkdir, readFile, rename, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import type { ScrubOptions } from '@service-fs/ledger/scrub/scrub'
import { readFromDisk } from '@service-fs/storage-posix/disk-reader'
import type { LogFields } from '../process/log.ts'
import type { LedgerName } from './metrics.ts'
import { treeChecks } from './tree-checks.ts'

/** The file with the position of the check, in the ledger directory. If the file is lost, the check starts again. */
const POSITION = 'cache/scrub'

/** Settings of the check; those of ScrubOptions by default. */
export type ScrubSettings = Pick<ScrubOptions, 'periodMs' | 'pace'>

export function scrubOf(
  { name, dir, origin }: { name: LedgerName; dir: string; origin: string },
  warn: (message: string, fields: LogFields) => void,
  settings: ScrubSettings = {},
): ScrubOptions {
  const path = join(dir, POSITION)
  return {
    ...settings,
    read: (object, pause) => readFromDisk(dir, object, pause),
    // The audit sub-ledger has no second trees.
    ...(name === 'main' ? { trees: () => treeChecks(dir, origin) } : {}),
    position: {
      load: () => readFile(path, 'utf8'),
      async save(text) {
        await mkdir(dirname(path), { mode: 0o700 }).catch(() => undefined)
        await writeFile(`${path}.new`, text, { mode: 0o600 })
        await rename(`${path}.new`, path)
      },
    },
    newId: randomUUID,
    damaged: ({ path: file, expected, found }) =>
      warn('a sealed file is damaged', {
        ledger: name,
        reason: `${file}: expected ${expected}, found ${found}`,
      }),
    repaired: (file) => warn('a damaged file has the right bytes again', { ledger: name, reason: file }),
  }
}
