import type { Command } from 'commander'
import { keptText, type PolicyState } from '@service-fs/format/duties'
import type { Scope } from '@service-fs/format/duty'
import { quoted } from '@service-fs/format/visible'
import { membersOf } from '@service-fs/client/http'
import { policyMembers, retentionReport, type RetentionLine } from '@service-fs/client/retention'
import type { Io } from '../io.ts'
import { momentIn } from '../moments.ts'
import {
  keyOptions,
  ledgerOptions,
  placeOptions,
  trustOptions,
  withLedger,
  type KeyOptions,
  type LedgerOptions,
} from '../options.ts'
import { FALSE, perform } from '../perform.ts'
import { withTreeAt } from '../places.ts'
import { addRetentionLock } from './retention-lock.ts'

interface ReportOptions extends LedgerOptions, KeyOptions {
  at?: string
  json?: boolean
}

interface StateOptions extends LedgerOptions {
  reason: string
  json?: boolean
}

interface ScopeOptions extends StateOptions {
  all?: true
  type?: string
  prefix?: string
}

const HOW = `
A duty only grows: a policy, a hold and an extension are permanent entries of the ledger, and no later entry shortens
them. A hold lasts until it is lifted. The end of a duty erases nothing.`

/** `retention`: states duties to keep records, and reports the duties of each record and when they end. */
export function addRetention(program: Command, io: Io): void {
  const retention = program
    .command('retention')
    .description('state how long records must be kept, hold records, and report until when each must be kept')
  addReport(retention, io)
  addRetentionLock(retention, io)
  addPolicy(retention, io)
  addHold(retention, io)
  stateCommand(retention, 'lift <name>')
    .description('lift a hold')
    .action((name: string, options: StateOptions) => state(io, options, { duty: 'lift', hold: name }))
  stateCommand(retention, 'extend <id>')
    .description('keep one record until a later time')
    .requiredOption('--until <time>', 'the time: 2033-11-22, 2033-11-22T18:43:00Z')
    .action((id: string, options: StateOptions & { until: string }) =>
      state(io, options, () => ({
        duty: 'extend',
        payload_id: id,
        until: momentIn('--until', options.until),
      })),
    )
}

function addReport(retention: Command, io: Io): void {
  keyOptions(ledgerOptions(retention.command('report [place]')))
    .description(
      'report the policies, the holds and the records that must be kept in a ledger behind a URL, in a directory, in a tar archive, in a disk image or in an S3 store; verify each record that is read',
    )
    .option('--at <time>', 'report the records that must be kept after this time (default: now)')
    .option('--json', 'print one JSON object per line')
    .action((place: string | undefined, options: ReportOptions) =>
      perform(io, options.json, () => report(place, options, io)),
    )
}

function addPolicy(retention: Command, io: Io): void {
  scopeOptions(stateCommand(retention, 'policy'))
    .description('keep all records of a type or with a prefix for a period, or until a time')
    .option('--for <period>', "the period from each record's time on: P6Y or P90D")
    .option('--until <time>', 'the time: 2033-11-22, 2033-11-22T18:43:00Z')
    .action((options: ScopeOptions & { for?: string; until?: string }) =>
      state(io, options, () => ({
        duty: 'policy',
        ...scopeIn(options),
        ...(options.for === undefined ? {} : { for: options.for }),
        ...(options.until === undefined ? {} : { until: momentIn('--until', options.until) }),
      })),
    )
}

function addHold(retention: Command, io: Io): void {
  scopeOptions(stateCommand(retention, 'hold <name>'))
    .description('keep records until the hold is lifted; the name is new in the ledger')
    .option('--id <id>', 'the record with this id')
    .action((name: string, options: ScopeOptions & { id?: string }) =>
      state(io, options, {
        duty: 'hold',
        hold: name,
        ...scopeIn(options),
        ...(options.id === undefined ? {} : { payload_id: options.id }),
      }),
    )
}

/** Adds a command that states a duty. */
function stateCommand(retention: Command, name: string): Command {
  return ledgerOptions(retention.command(name))
    .requiredOption('--reason <text>', 'the reason, for readers of the ledger')
    .option('--json', 'print the response of POST /v1/retention')
    .addHelpText('after', HOW)
}

function scopeOptions(command: Command): Command {
  return command
    .option('--all', 'all records')
    .option('--type <type>', 'the records of this media type')
    .option('--prefix <text>', 'the records whose id starts with this text')
}

function scopeIn({ all, type, prefix }: ScopeOptions): Scope {
  return {
    ...(all === undefined ? {} : { all }),
    ...(type === undefined ? {} : { type }),
    ...(prefix === undefined ? {} : { prefix }),
  }
}

function state(io: Io, options: StateOptions, duty: object | (() => object)): Promise<void> {
  return perform(io, options.json, () =>
    withLedger(options, async (to) => {
      const stated = typeof duty === 'function' ? duty() : duty
      const found = membersOf(
        await to.askJson('v1/retention', {
          method: 'POST',
          body: JSON.stringify({ ...stated, reason: options.reason }),
          headers: { 'content-type': 'application/json' },
        }),
      )
      if (options.json === true) return io.out(`${JSON.stringify(found)}\n`)
      const how = found['duplicate'] === true ? 'already stated' : 'stated'
      await io.out(`${how}: entry ${Number(found['index'])}, ${quoted(String(found['time']))}\n`)
    }),
  )
}

async function report(place: string | undefined, options: ReportOptions, io: Io): Promise<number> {
  const from = place ?? options.url
  const at = options.at === undefined ? new Date().toISOString() : momentIn('--at', options.at)
  const trust = await trustOptions(options)
  return withTreeAt(from, { ...(await placeOptions(from, options)), ...trust }, async (ledger) => {
    let text = ''
    let status = 0
    let records = 0
    for await (const line of retentionReport(ledger.tree, at)) {
      if (line.kind === 'problem') status = FALSE
      if (line.kind === 'record') records += 1
      text += options.json === true ? `${JSON.stringify(jsonOf(line))}\n` : `${textOf(line)}\n`
      if (text.length < 16_384) continue
      await io.out(text)
      text = ''
    }
    if (options.json !== true)
      text += `${records} records must be kept after ${at}; ${ledger.tree.size} entries read, ${ledger.trust.toString()}\n`
    if (text !== '') await io.out(text)
    return status
  })
}

function jsonOf(line: RetentionLine): object {
  const { kind } = line
  if (kind === 'policy') return { kind, ...policyMembers(line.policy) }
  if (kind === 'hold') {
    const { duty: _, ...hold } = line.hold
    return { kind, ...hold }
  }
  if (kind === 'problem') return line
  const { index, id, type, time, kept } = line
  return { kind, cursor: index + 1, payload_id: id, type, time, ...kept }
}

function textOf(line: RetentionLine): string {
  if (line.kind === 'policy') return `policy   ${scopeText(line.policy.scope)}: ${policyText(line.policy)}`
  if (line.kind === 'hold') {
    const { hold, subject, reason, index } = line.hold
    return `hold     ${hold}: ${scopeText(line.hold)}, entry ${index}, by ${quoted(subject)}: ${quoted(reason)}`
  }
  if (line.kind === 'problem') return `problem  entry ${line.index} has no effect: ${quoted(line.problem)}`
  return `${String(line.index + 1).padStart(8)} ${line.time} ${keptText(line.kept)} ${quoted(line.id)}`
}

function scopeText({ all, type, prefix, payload_id }: Scope): string {
  if (all === true) return 'all records'
  if (payload_id !== undefined) return `record ${quoted(payload_id)}`
  const parts = [
    ...(type === undefined ? [] : [`type ${quoted(type)}`]),
    ...(prefix === undefined ? [] : [`prefix ${quoted(prefix)}`]),
  ]
  return parts.join(', ')
}

function policyText({ Y, D, until }: PolicyState): string {
  const parts = [
    ...(Y > 0 ? [`${Y} years`] : []),
    ...(D > 0 ? [`${D} days`] : []),
    ...(until === '' ? [] : [`until ${until}`]),
  ]
  return parts.join(', ')
}
