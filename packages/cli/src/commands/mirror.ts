import { resolve } from 'node:path'
import type { Command } from 'commander'
import { messageOf } from '@service-fs/format/errors'
import { quoted } from '@service-fs/format/visible'
import { ClientError } from '@service-fs/client/errors'
import type { Connection } from '@service-fs/client/http'
import { Trust } from '@service-fs/client/trust'
import type { Io } from '../io.ts'
import { CopyDirectory, type CopyReport } from '../mirror/copy-directory.ts'
import type { CopySource } from '../mirror/copy-source.ts'
import { keepUpdated } from '../mirror/keep.ts'
import { copyText, hasGrown } from '../mirror/report.ts'
import { checkApart, updateWith, withSource } from '../mirror/update.ts'
import { parseCount } from '../numbers.ts'
import { keyOptions, tenantOptions, trustOptions, type KeyOptions, type TenantOptions } from '../options.ts'
import { perform } from '../perform.ts'

interface MirrorOptions extends TenantOptions, KeyOptions {
  audit: boolean
  once?: boolean
  interval: string
  json?: boolean
}

/** The number of seconds in a day, which is the longest interval. */
const DAY = 86_400

const HOW = `
The mirror is a ledger directory. The command verifies everything before it stores it: the checkpoint by --vkey or --policy, the new
tree by a consistency proof from the stored checkpoint, each tile and each entry by the tree. It stores the checkpoint last. If it
is killed, the next run continues. If the source rolled back or forked, it changes nothing and exits with status 1.`

/** `mirror`: keeps a verified copy of a ledger up to date. */
export function addMirror(program: Command, io: Io): void {
  keyOptions(tenantOptions(program.command('mirror <source> <directory>')))
    .description(
      'keep a verified copy of the ledger behind a URL, in a directory, in a tar archive or in a disk image',
    )
    .option('--once', 'end when the copy is up to date')
    .option('--interval <seconds>', 'the longest pause before the source is checked again', '60')
    .option('--no-audit', 'skip the audit sub-ledger')
    .option('--json', 'print each report as a JSON object on one line')
    .addHelpText('after', HOW)
    .action((source: string, directory: string, options: MirrorOptions) =>
      perform(io, options.json, () => mirror(source, directory, options, io)),
    )
}

async function mirror(place: string, directory: string, options: MirrorOptions, io: Io): Promise<void> {
  refuseS3(place)
  refuseS3(directory)
  await checkApart(place, directory)
  const trust = Trust.pinned(await trustOptions(options))
  if (trust === undefined) throw new ClientError('usage', 'expected --vkey or --policy')
  const interval = Math.min(parseCount(options.interval, '--interval', 1), DAY) * 1000
  const copy = new CopyDirectory({
    dir: resolve(directory),
    form: 'ledger',
    trust,
    withoutAudit: !options.audit,
  })
  const failed = (error: ClientError, pause: number): void =>
    io.err(`service-fs: ${messageOf(error)}; trying again within ${Math.ceil(pause / 1000)} s`)
  const run = async (source: CopySource, connection: Connection | undefined): Promise<void> => {
    const update = (): Promise<CopyReport> => updateWith(copy, source, io)
    const print = async (report: CopyReport): Promise<void> => {
      if (options.once === true || hasGrown(report)) await printReport(report, directory, options, io)
    }
    if (options.once === true) return print(await update())
    await keepUpdated({ update, updated: print, failed, connection, interval })
  }
  try {
    await withSource(place, options, run)
  } finally {
    await copy.close()
  }
}

function refuseS3(place: string): void {
  if (place.startsWith('s3://'))
    throw new ClientError('usage', `${quoted(place)}: s3:// is not supported; expected a URL or a directory`)
}

async function printReport(
  report: CopyReport,
  out: string,
  { json }: { json?: boolean },
  io: Io,
): Promise<void> {
  await io.out(json === true ? `${JSON.stringify({ ...report, out })}\n` : copyText(report))
}
