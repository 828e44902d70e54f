import type { Command } from 'commander'
import type { Policy } from '@service-fs/tlog/policy'
import { quoted } from '@service-fs/format/visible'
import { ClientError } from '@service-fs/client/errors'
import type { Io } from '../io.ts'
import { nativeHasher } from '@service-fs/native/native'
import { keyOptions, readInput, trustOptions, type KeyOptions } from '../options.ts'
import { perform } from '../perform.ts'
import { checkFileProof } from '@service-fs/client/file-proof'
import { checkProof, type Proved } from '@service-fs/client/proof'
import { Trust } from '@service-fs/client/trust'

interface VerifyProofOptions extends KeyOptions {
  record?: string
  entry?: string
  json?: boolean
}

/** `verify-proof`: verifies a .tlog-proof offline. */
export function addVerifyProof(program: Command, io: Io): void {
  keyOptions(program.command('verify-proof <file>'))
    .description('verify a .tlog-proof offline, with the record and the keys that you trust')
    .option('--record <file>', "the record's payload; the proof carries its header")
    .option('--entry <file>', 'the raw entry, including its header')
    .option('--json', 'print the result as JSON')
    .action((file: string, options: VerifyProofOptions) =>
      perform(io, options.json, () => verifyProof(file, options, io)),
    )
}

async function verifyProof(file: string, options: VerifyProofOptions, io: Io): Promise<void> {
  const trust = Trust.pinned(await trustOptions(options))
  if (trust === undefined)
    throw new ClientError('usage', 'expected --policy or --vkey, the keys that you trust')
  const text = (await readInput(file)).toString('utf8')
  const proved = await check(text, options, trust.policy)
  if (options.json === true) return io.out(JSON.stringify({ ok: true, ...proved }) + '\n')
  const witnesses =
    proved.witnesses.length === 0 ? '' : `, cosigned by ${proved.witnesses.map(quoted).join(', ')}`
  const what =
    proved.id === undefined
      ? `entry ${proved.index}`
      : `${JSON.stringify(proved.id)} (${quoted(proved.type ?? '')}, ${proved.time})`
  await io.out(
    `true: ${what} is entry ${proved.index} of ${proved.size} in ${quoted(proved.origin)}${witnesses}\n`,
  )
}

async function check(text: string, options: VerifyProofOptions, policy: Policy): Promise<Proved> {
  const { record, entry } = options
  if (record !== undefined && entry === undefined) return checkFileProof(text, record, policy)
  if (entry !== undefined && record === undefined)
    return checkProof(text, nativeHasher.leaf(await readInput(entry)), policy)
  throw new ClientError('usage', 'expected either --record or --entry')
}
