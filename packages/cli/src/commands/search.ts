import type { Command } from 'commander'
import { quoted } from '@service-fs/format/visible'
import { searchPlace, type FoundRecord } from '@service-fs/client/search'
import type { Io } from '../io.ts'
import {
  keyOptions,
  ledgerOptions,
  placeOptions,
  trustOptions,
  type KeyOptions,
  type LedgerOptions,
} from '../options.ts'
import { perform } from '../perform.ts'
import { selectionOf, selectionOptions, type SelectionOptions } from '../selection.ts'

interface SearchOptions extends LedgerOptions, KeyOptions, SelectionOptions {
  json?: boolean
}

const HOW = `
A record is found if it meets every condition. The command verifies each record that it prints against the signed checkpoint. Behind a
URL the server searches, and could leave records out. It finds records by --where only if its operator declared the field for their
type. In a directory, a tar archive or a disk image the command reads and verifies every entry.`

/** `search`: prints the records of a selection in order, one per line. */
export function addSearch(program: Command, io: Io): void {
  selectionOptions(keyOptions(ledgerOptions(program.command('search [place]'))))
    .description(
      'find records by time, type, start of the identifier and fields of their JSON, behind a URL, in a directory, in a tar archive or in a disk image',
    )
    .option('--json', 'print one JSON object per line')
    .addHelpText('after', HOW)
    .action((place: string | undefined, options: SearchOptions) =>
      perform(io, options.json, () => search(place ?? options.url, options, io)),
    )
}

async function search(place: string, options: SearchOptions, io: Io): Promise<void> {
  const selection = selectionOf(options)
  const access = { ...(await placeOptions(place, options)), ...(await trustOptions(options)) }
  let text = ''
  await searchPlace(place, selection, access, async (found) => {
    text += lineOf(found, options.json)
    if (text.length < 16_384) return
    await io.out(text)
    text = ''
  })
  if (text !== '') await io.out(text)
}

function lineOf({ cursor, id, type, time }: FoundRecord, json: boolean | undefined): string {
  if (json === true) return JSON.stringify({ cursor, payload_id: id, type, time }) + '\n'
  return `${String(cursor).padStart(8)} ${time} ${quoted(type).padEnd(24)} ${quoted(id)}\n`
}
