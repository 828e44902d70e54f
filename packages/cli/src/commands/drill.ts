import { randomBytes } from 'node:crypto'
import { resolve } from 'node:path'
import type { Command } from 'commander'
import { quoted, visibleLine } from '@service-fs/format/visible'
import { appendBatch, checkReceipt, type AppendedRecord } from '@service-fs/client/append'
import { ClientError } from '@service-fs/client/errors'
import type { Connection } from '@service-fs/client/http'
import { canonicalJson } from '@service-fs/client/read'
import { Trust, type TrustOptions } from '@service-fs/client/trust'
import { contractKeys } from '@service-fs/client/verify-url'
import { nativeCodec } from '@service-fs/native/native'
import { runDrill, type DrillResult } from '../drill/drill.ts'
import type { Io } from '../io.ts'
import {
  keyOptions,
  ledgerOptions,
  trustOptions,
  withLedger,
  type KeyOptions,
  type LedgerOptions,
} from '../options.ts'
import { FALSE, perform } from '../perform.ts'
import { progressBar } from '../progress.ts'

/** The media type of a drill's record. */
export const DRILL_TYPE = 'application/vnd.service-fs.drill+json'

interface DrillCommandOptions extends LedgerOptions, KeyOptions {
  scratch?: string
  json?: boolean
}

const HOW = `
The command reads the newest export in the folder: a tar archive or a directory. It restores it below the scratch directory, verifies
all of it, and checks that the live ledger's tree contains it. Then it appends the result, passed or failed, to the live ledger, and
removes the restored copy. It changes no export. The exit status is 1 if the drill failed, and 3 if its result could not be recorded.`

/** `drill`: restores the newest export, verifies it, compares it with the live ledger, and records the result there. */
export function addDrill(program: Command, io: Io): void {
  keyOptions(ledgerOptions(program.command('drill <directory>')))
    .description(
      'restore the newest export elsewhere, verify it, compare it with the ledger, and record the result',
    )
    .option('--scratch <directory>', 'where to restore the export; it must exist')
    .option('--json', 'print the result as JSON')
    .addHelpText('after', HOW)
    .action((exports: string, options: DrillCommandOptions) =>
      perform(io, options.json, () =>
        withLedger(options, (connection) => drill(exports, options, connection, io)),
      ),
    )
}

async function drill(
  exports: string,
  options: DrillCommandOptions,
  connection: Connection,
  io: Io,
): Promise<number> {
  const { scratch, moduleId, json } = options
  if (scratch === undefined) throw new ClientError('usage', 'expected --scratch')
  const vkeys = await liveKeys(await trustOptions(options), connection)
  const bars = {
    restore: progressBar(io, 'restore', 'entries'),
    verify: progressBar(io, 'verify', 'entries'),
  }
  let result: DrillResult
  try {
    result = await runDrill({
      exports: resolve(exports),
      scratch: resolve(scratch),
      connection,
      vkeys,
      moduleId,
      progress: (step, _, entries, size) => bars[step].at(entries, size),
    })
  } finally {
    for (const bar of Object.values(bars)) bar.stop()
  }
  if (result.outcome === 'failed') io.err(`service-fs: the drill failed: ${result.reason}`)
  const record = await recordOf(result, vkeys, connection)
  await io.out(json === true ? `${JSON.stringify({ ...result, record })}\n` : textOf(result, record))
  return result.outcome === 'passed' ? 0 : FALSE
}

/** Returns the pinned keys. If no keys are pinned, returns the keys that the live ledger publishes. */
async function liveKeys(pinned: TrustOptions, connection: Connection): Promise<TrustOptions> {
  if (Trust.pinned(pinned) !== undefined) return pinned
  return { vkeys: contractKeys(await connection.askJson('v1/contract')) }
}

/** Appends the result to the live ledger, and checks the receipt and the signed checkpoint. @throws ClientError */
async function recordOf(
  result: DrillResult,
  vkeys: TrustOptions,
  connection: Connection,
): Promise<AppendedRecord> {
  const id = `drill-${result.started}-${randomBytes(4).toString('hex')}`
  const content = { id, type: DRILL_TYPE, payload: nativeCodec.utf8Encode(canonicalJson(result)) }
  const { entries, checkpoint } = await appendBatch(connection, [content])
  const receipt = entries[0] as AppendedRecord
  checkReceipt(receipt, content)
  Trust.pinned(vkeys)?.open(checkpoint, result.origin)
  return receipt
}

function textOf(
  { outcome, export: name, restored, live, durations }: DrillResult,
  record: AppendedRecord,
): string {
  const lines = [`${outcome}: ${name === undefined ? 'no export' : quoted(name)}`]
  if (restored !== undefined) {
    const { size, root, entries, problems } = restored
    lines.push(`      restored size ${size}, root hash ${root}: ${entries} entries, ${problems} problems`)
  }
  const took = Object.entries(durations).map(([step, ms]) => `${step} ${ms} ms`)
  lines.push(`      live size ${live.size}, root hash ${live.root}`)
  if (took.length > 0) lines.push(`      ${took.join(', ')}`)
  lines.push(`      recorded as ${quoted(record.id)}, cursor ${record.cursor}`)
  return lines.map(visibleLine).join('\n') + '\n'
}
