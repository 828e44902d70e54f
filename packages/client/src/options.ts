/** Options that several commands have. */
import { readFile } from 'node:fs/promises'
import { Option, type Command } from 'commander'
import { credentialOptions, readCredentials, type CredentialOptions } from './credentials.ts'
import { ClientError, messageOf } from './errors.ts'
import { Connection } from './http.ts'
import type { TrustOptions } from './trust.ts'

export const DEFAULT_URL = 'http://127.0.0.1:8080'

export interface LedgerOptions extends CredentialOptions {
  url: string
  moduleId?: string
}

export interface KeyOptions {
  vkey?: string[]
  policy?: string
}

/** Adds `--url`, `--module-id` and those of the credentials. */
export function ledgerOptions(command: Command): Command {
  const place = command
    .addOption(
      new Option('--url <url>', 'the ledger, or with /t/<moduleId>/ one tenant')
        .env('FS_URL')
        .default(DEFAULT_URL),
    )
    .addOption(
      new Option('--module-id <id>', 'the tenant, where the URL does not name it').env('FS_MODULE_ID'),
    )
  return credentialOptions(place)
}

function collect(value: string, before: string[] = []): string[] {
  return [...before, value]
}

/** Adds `--vkey` and `--policy`. */
export function keyOptions(command: Command): Command {
  return command
    .option('--vkey <vkey>', "the log's verifier key; may be repeated", collect)
    .option('--policy <file>', 'a tlog-policy: logs, witnesses and their quorum')
}

/** The connection of a command; without `--token-file` a bearer token comes from FS_TOKEN. @throws ClientError `usage`, `file` */
export async function connect(options: LedgerOptions): Promise<Connection> {
  const credentials = await readCredentials(options.url, options, process.env['FS_TOKEN'] || undefined)
  return new Connection(options.url, { moduleId: options.moduleId, ...credentials })
}

/** The keys that the user gave. @throws ClientError `file` */
export async function trustOptions(options: KeyOptions): Promise<TrustOptions> {
  const vkeys = options.vkey ?? []
  return options.policy === undefined ? { vkeys } : { vkeys, policy: await readInput(options.policy) }
}

/** The content of a file that the user named. @throws ClientError `file` */
export async function readInput(path: string): Promise<Buffer> {
  try {
    return await readFile(path)
  } catch (error) {
    throw new ClientError('file', messageOf(error))
  }
}

/** A cursor: a positive integer. @throws ClientError `usage` */
export function parseCount(text: string, name: string, least: number): number {
  const value = /^(?:0|[1-9]\d{0,15})$/.test(text) ? Number(text) : Number.NaN
  if (Number.isSafeInteger(value) && value >= least) return value
  throw new ClientError('usage', `${name}: expected an integer of at least ${least}, found ${text}`)
}

/** Runs `work` with a connection, and closes it. */
export async function withConnection<T>(
  options: LedgerOptions,
  work: (connection: Connection) => Promise<T>,
): Promise<T> {
  const connection = await connect(options)
  try {
    return await work(connection)
  } finally {
    await connection.close()
  }
}
