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

/**
 * `clock status` and `clock correct`: compare the daemon's clock with the times of the newest records, and set a ledger's time back to the
 * clock.
 */
export function addClock(program: Command, io: Io): void {
  const clock = program
    .command('clock')
    .description("compare a daemon's clock with its ledgers, and correct a ledger's time")
  ledgerOptions(clock.command('status'))
    .description(
      "print the daemon's time, and the newest record's time in the ledger and in its audit sub-ledger",
    )
    .option('--json', 'print the response of GET /v1/clock')
    .action((options: ClockOptions) =>
      perform(io, options.json, () => withLedger(options, (to) => status(to, options, io))),
    )
  ledgerOptions(clock.command('correct'))
    .description(
      'accept the present clock although the newest record is in the future; a permanent entry records this',
    )
    .requiredOption('--newest <time>', "the newest record's time, as `clock status` prints it")
    .requiredOption('--reason <text>', 'the reason, for readers of the ledger')
    .option('--json', 'print the response of POST /v1/clock/correct')
    .action((options: CorrectOptions) =>
      perform(io, options.json, () => withLedger(options, (to) => correct(to, options, io))),
    )
}

/** Sends a request and returns the members of its JSON response. @throws ClientError like `Connection.askJson` */
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

/** Returns a value of the response as text that is safe on a terminal. */
function textOf(value: unknown): string {
  return typeof value === 'string' && /^[\w:.-]{1,40}$/.test(value) ? value : JSON.stringify(value)
}
