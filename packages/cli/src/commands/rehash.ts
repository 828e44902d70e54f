import { Option, type Command } from 'commander'
import { TREE_ALGORITHMS } from '@service-fs/format/tree-binding'
import { quoted } from '@service-fs/format/visible'
import { ClientError } from '@service-fs/client/errors'
import { membersOf, sleep, type Connection } from '@service-fs/client/http'
import type { Io } from '../io.ts'
import { ledgerOptions, withLedger, type LedgerOptions } from '../options.ts'
import { perform } from '../perform.ts'
import { progressBar } from '../progress.ts'

interface RehashOptions extends LedgerOptions {
  hash?: string
  wait: boolean
  json?: boolean
}

const HOW = `
The daemon computes the tree from the sealed entries while it serves. When the tree covers the ledger, a permanent
entry binds it, and from then on each new entry joins it. No stored byte changes. A restart of the daemon continues
the work; the end of this command does not stop it.`

/** The number of milliseconds between two requests for the progress of the tree. */
const POLL_MS = 500

/** `rehash`: builds a second tree over a ledger with another hash, or shows the second trees. */
export function addRehash(program: Command, io: Io): void {
  ledgerOptions(program.command('rehash'))
    .description(
      'build and keep a second tree over a ledger, with another hash; without --hash, show the trees',
    )
    .addOption(new Option('--hash <name>', 'the hash').choices(TREE_ALGORITHMS.map(({ name }) => name)))
    .option('--no-wait', 'do not wait until the ledger binds the tree')
    .option('--json', 'print the trees in JSON; with --hash, the last response about that tree')
    .addHelpText('after', HOW)
    .action((options: RehashOptions) =>
      perform(io, options.json, () => withLedger(options, (to) => rehash(to, options, io))),
    )
}

async function rehash(connection: Connection, options: RehashOptions, io: Io): Promise<void> {
  const { hash, json } = options
  if (hash === undefined) {
    const trees = await treesOf(connection)
    if (json === true) return io.out(`${JSON.stringify({ trees })}\n`)
    return io.out(trees.length === 0 ? 'no second trees\n' : `${trees.map(lineOf).join('\n')}\n`)
  }
  const begun = membersOf(
    await connection.askJson('v1/rehash', {
      method: 'POST',
      body: JSON.stringify({ hash }),
      headers: { 'content-type': 'application/json' },
    }),
  )
  const tree = options.wait ? await waited(connection, begun, io) : begun
  if (tree['state'] === 'failed') throw new ClientError('failed', lineOf(tree))
  await io.out(json === true ? `${JSON.stringify(tree)}\n` : `${lineOf(tree)}\n`)
}

/** Requests the state of the tree until it is bound or has failed. */
async function waited(connection: Connection, begun: Members, io: Io): Promise<Members> {
  const progress = progressBar(io, 'hashing', 'entries')
  try {
    for (let tree = begun; ;) {
      progress.at(Number(tree['size']), Number(tree['log_size']))
      if (tree['state'] !== 'building') return tree
      await sleep(POLL_MS)
      const found = (await treesOf(connection)).find((one) => one['hash'] === begun['hash'])
      if (found === undefined) throw new ClientError('failed', 'the server no longer has the tree')
      tree = found
    }
  } finally {
    progress.stop()
  }
}

type Members = Record<string, unknown>

async function treesOf(connection: Connection): Promise<Members[]> {
  const { trees } = membersOf(await connection.askJson('v1/trees'))
  if (!Array.isArray(trees)) throw new ClientError('malformed', 'trees: expected a list')
  return trees.map(membersOf)
}

function lineOf(tree: Members): string {
  const { hash, state, size, log_size: log, bound, vkey, problem } = tree
  const where = bound === undefined ? '' : `, bound by entry ${Number(membersOf(bound)['index'])}`
  const key = vkey === undefined ? '' : `, key ${textOf(vkey)}`
  const why = problem === undefined ? '' : `: ${textOf(problem)}`
  return `${textOf(hash)}: ${textOf(state)}, ${Number(size)} of ${Number(log)} entries${where}${key}${why}`
}

/** Returns a value of the response as text that is safe on a terminal. */
function textOf(value: unknown): string {
  return typeof value === 'string' ? quoted(value) : JSON.stringify(value)
}
