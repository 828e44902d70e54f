import { resolve } from 'node:path'
import { Option, type Command } from 'commander'
import { messageOf } from '@service-fs/format/errors'
import { ClientError } from '@service-fs/client/errors'
import type { Connection } from '@service-fs/client/http'
import { Trust } from '@service-fs/client/trust'
import { MAX_LOCK_DAYS, type LockMode, type ObjectLock } from '@service-fs/s3/object-lock'
import { isS3Place } from '@service-fs/s3/place'
import type { Io } from '../io.ts'
import type { CopyPlace } from '../mirror/copy-place.ts'
import type { CopySource } from '../mirror/copy-source.ts'
import { directoryPlace } from '../mirror/directory-place.ts'
import { keepUpdated } from '../mirror/keep.ts'
import { copyText, hasGrown } from '../mirror/report.ts'
import { storePlace } from '../mirror/store-place.ts'
import { checkApart, updateWith, withSource } from '../mirror/update.ts'
import { VerifiedCopy, type CopyReport } from '../mirror/verified-copy.ts'
import { parseCount } from '../numbers.ts'
import { keyOptions, tenantOptions, trustOptions, type KeyOptions, type TenantOptions } from '../options.ts'
import { perform } from '../perform.ts'
import { openStore } from '../s3/open-store.ts'

interface MirrorOptions extends TenantOptions, KeyOptions {
  audit: boolean
  once?: boolean
  interval: string
  /** The days of `--retain`; false for `--no-retain`. */
  retain?: string | false
  retainMode: LockMode
  json?: boolean
}

/** The number of seconds in a day, which is the longest interval. */
const DAY = 86_400

const HOW = `
The mirror is a ledger directory. The command verifies everything before it stores it: the checkpoint by --vkey or --policy, the new
tree by a consistency proof from the stored checkpoint, each tile and each entry by the tree. It stores the checkpoint last. If it
is killed, the next run continues. If the source rolled back or forked, it changes nothing and exits with status 1.

The directory, and the source too, may be s3://bucket/prefix?region=...&endpoint=...: a prefix in an S3 store that has conditional
writes. Without an endpoint, the store is AWS. The credentials are AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN in
the environment, or a profile, AWS_PROFILE, of the file AWS_SHARED_CREDENTIALS_FILE, which only its owner may read. A mirror in a
store needs --retain, with which the store keeps every sealed object so many days (Object Lock), or --no-retain.`

/** `mirror`: keeps a verified copy of a ledger up to date. */
export function addMirror(program: Command, io: Io): void {
  keyOptions(tenantOptions(program.command('mirror <source> <directory>')))
    .description(
      'keep a verified copy of the ledger behind a URL, in a directory, in a tar archive, in a disk image or in an S3 store',
    )
    .option('--once', 'end when the copy is up to date')
    .option('--interval <seconds>', 'the longest pause before the source is checked again', '60')
    .option('--retain <days>', 'lock each sealed object in the store for so many days')
    .option('--no-retain', 'store the objects without a lock')
    .addOption(
      new Option('--retain-mode <mode>', 'who can shorten a lock: nobody, or users with a permission for it')
        .choices(['COMPLIANCE', 'GOVERNANCE'])
        .default('COMPLIANCE'),
    )
    .option('--no-audit', 'skip the audit sub-ledger')
    .option('--json', 'print each report as a JSON object on one line')
    .addHelpText('after', HOW)
    .action((source: string, directory: string, options: MirrorOptions) =>
      perform(io, options.json, () => mirror(source, directory, options, io)),
    )
}

async function mirror(place: string, directory: string, options: MirrorOptions, io: Io): Promise<void> {
  await checkApart(place, directory)
  const trust = Trust.pinned(await trustOptions(options))
  if (trust === undefined) throw new ClientError('usage', 'expected --vkey or --policy')
  const interval = Math.min(parseCount(options.interval, '--interval', 1), DAY) * 1000
  const copy = new VerifiedCopy({
    place: await openPlace(directory, options),
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

/** Opens the place of the mirror: a directory, or a prefix in a store. @throws ClientError `usage` */
async function openPlace(place: string, options: MirrorOptions): Promise<CopyPlace> {
  if (isS3Place(place)) return storePlace(await openStore(place, lockOf(options)))
  if (options.retain !== undefined)
    throw new ClientError('usage', '--retain: expected with a mirror in an S3 store')
  return directoryPlace(resolve(place), 'ledger')
}

function lockOf({ retain, retainMode: mode }: MirrorOptions): ObjectLock | undefined {
  if (retain === undefined)
    throw new ClientError('usage', 'expected --retain, or --no-retain to store objects without a lock')
  if (retain === false) return undefined
  const days = parseCount(retain, '--retain', 1)
  if (days > MAX_LOCK_DAYS)
    throw new ClientError('usage', `--retain: expected at most ${MAX_LOCK_DAYS} days, found ${days}`)
  return { mode, days }
}

async function printReport(
  report: CopyReport,
  out: string,
  { json }: { json?: boolean },
  io: Io,
): Promise<void> {
  await io.out(json === true ? `${JSON.stringify({ ...report, out })}\n` : copyText(report))
}
