import type { Command } from 'commander'
import { quoted } from '@service-fs/format/visible'
import { ClientError } from '@service-fs/client/errors'
import { filesTree } from '@service-fs/client/retention'
import { isS3Place } from '@service-fs/s3/place'
import type { Io } from '../io.ts'
import { extendLocks, type LocksReport } from '../locks/mirror-locks.ts'
import { keyOptions, trustOptions, type KeyOptions } from '../options.ts'
import { FALSE, perform } from '../perform.ts'
import { progressBar } from '../progress.ts'
import { openStore } from '../s3/open-store.ts'
import { readerOf, storeFiles } from '../s3/store-files.ts'

interface LockCommandOptions extends KeyOptions {
  lift?: true
  json?: boolean
}

const HOW = `
The command reads and verifies the whole mirror. It never shortens a lock. It keeps the mode that the locks of the mirror have. The
last entries, which are in tail/, have no lock.`

/** `retention lock`: lets the locks of a mirror in an S3 store follow the ledger's duties. */
export function addRetentionLock(retention: Command, io: Io): void {
  keyOptions(retention.command('lock <place>'))
    .description(
      "extend the locks of a mirror in an S3 store to the end of the ledger's duties, and put a legal hold on what a hold keeps",
    )
    .option('--lift', 'lift the legal holds of objects that no hold of the ledger keeps')
    .option('--json', 'print the report as JSON')
    .addHelpText('after', HOW)
    .action((place: string, options: LockCommandOptions) =>
      perform(io, options.json, () => lock(place, options, io)),
    )
}

async function lock(place: string, options: LockCommandOptions, io: Io): Promise<number> {
  if (!isS3Place(place))
    throw new ClientError('usage', `expected a place in an S3 store, found ${quoted(place)}`)
  const trust = await trustOptions(options)
  const bar = progressBar(io, 'lock', 'objects')
  let report: LocksReport
  try {
    const objects = await openStore(place)
    const ledger = await filesTree(storeFiles(readerOf(objects)), trust)
    report = await extendLocks(objects, ledger, {
      lift: options.lift === true,
      progress: (done, total) => bar.at(done, total),
    })
  } finally {
    bar.stop()
  }
  await io.out(options.json === true ? `${JSON.stringify(report)}\n` : locksText(report))
  return report.problems.length === 0 ? 0 : FALSE
}

function locksText({ size, bundles, kept, until, extended, held, lifted, problems }: LocksReport): string {
  const end = until === undefined ? '' : `, at the longest until ${until}`
  return [
    ...problems.map(({ index, problem }) => `problem  entry ${index} has no effect: ${quoted(problem)}`),
    `${size} entries read; duties keep ${kept} of ${bundles} full bundles${end}`,
    `      extended ${extended} locks, put ${held} legal holds, lifted ${lifted}`,
    '',
  ].join('\n')
}
