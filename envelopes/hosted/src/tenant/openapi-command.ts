/** `service-fs openapi`: prints the OpenAPI document of the wire. */
import type { Command } from 'commander'
import type { Io } from '@service-fs/cli/io'
import { perform } from '@service-fs/cli/perform'
import { VERSION } from '../version.ts'

export function addOpenApi(program: Command, io: Io): void {
  program
    .command('openapi')
    .description('print the OpenAPI document of the HTTP interface, as JSON')
    .option('--json', 'on one line')
    .action((flags: { json?: boolean }) =>
      perform(io, flags.json, async () => {
        // Loaded here, so that adding the command does not build the document.
        const { openApi } = await import('@service-fs/wire/openapi')
        await io.out(`${JSON.stringify(openApi(VERSION), undefined, flags.json === true ? 0 : 2)}\n`)
      }),
    )
}
