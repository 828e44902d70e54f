import type { Command } from 'commander'
import { ClientError } from '@service-fs/client/errors'
import { membersOf, type Connection } from '@service-fs/client/http'
import type { Io } from '../io.ts'
import { ledgerOptions, withLedger, type LedgerOptions } from '../options.ts'
import { perform } from '../perform.ts'

interface ClockOptions extends LedgerOptions {
  json?: boolean
}

interface CorrectOptions extends ClockOptions {
  newest: string
  reason: string
}

/** `clock status` and `clock correct`: what the daemon's clock says beside the newest records' times, and going on with it. */
export function addClock(program: Command, io: Io): void {
  const clock = program
    .command('clock')
    .description("compare a daemon's clock with its ledgers, and correct a ledger's time")
  ledgerOptions(clock.command('status'))
    .description(
      "what the clock says, and the newest record's time of the ledger and of its audit sub-ledger",
    )
    .option('--json', 'print the answer of GET /v1/clock')
    .action((options: ClockOptions) =>
      perform(io, options.json, () => withLedger(options, (to) => status(to, options, io))),
    )
  ledgerOptions(clock.command('correct'))
    .description(
      'go on with the clock as it is, although the newest record lies in the future: an entry says so for ever',
    )
    .requiredOption('--newest <time>', 'the newest time that is corrected, as `clock status` prints it')
    .requiredOption('--reason <text>', 'why, for whoever reads the ledger')
    .option('--json', 'print the answer of POST /v1/clock/correct')
    .action((options: CorrectOptions) =>
      perform(io, options.json, () => withLedger(options, (to) => correct(to, options, io))),
    )
}

/** @throws ClientError `malformed`, and the codes of refusals */
async function answered(
  connection: Connection,
  path: string,
  body?: object,
): Promise<Record<string, unknown>> {
  const question =
    body === undefined
      ? {}
      : {
          method: 'POST' as const,
          body: JSON.stringify(body),
          headers: { 'content-type': 'application/json' },
        }
  return membersOf(await connection.askJson(path, question))
}

async function status(connection: Connection, options: ClockOptions, io: Io): Promise<void> {
  const found = await answered(connection, 'v1/clock')
  if (options.json === true) return io.out(`${JSON.stringify(found)}\n`)
  await io.out(`now     ${textOf(found['now'])}\n`)
  for (const name of ['ledger', 'audit']) {
    if (found[name] === undefined) continue
    const { newest, problem } = membersOf(found[name])
    const state = problem === undefined ? 'in order' : textOf(problem)
    await io.out(`${name.padEnd(7)} newest ${newest === undefined ? 'none' : textOf(newest)}, ${state}\n`)
  }
}

async function correct(connection: Connection, options: CorrectOptions, io: Io): Promise<void> {
  const { newest, reason } = options
  const found = await answered(connection, 'v1/clock/correct', { newest, reason })
  if (options.json === true) return io.out(`${JSON.stringify(found)}\n`)
  const { corrected } = found
  if (!Array.isArray(corrected)) throw new ClientError('malformed', 'corrected: expected a list')
  for (const one of corrected) {
    const { ledger, index, time, newest: before } = membersOf(one)
    await io.out(
      `corrected: ${textOf(ledger)}, entry ${Number(index)}: from ${textOf(before)} back to ${textOf(time)}\n`,
    )
  }
}

/** A text of the answer, without what a terminal would act on. */
function textOf(value: unknown): string {
  return typeof value === 'string' && /^[\w:.-]{1,40}$/.test(value) ? value : JSON.stringify(value)
}
