/** Adds `front`, which `host` starts, and which people are not told of. */
import type { Command } from 'commander'
import type { Io } from '@service-fs/cli/io'
import { perform } from '@service-fs/cli/perform'
import { runFront } from './front-process.ts'

export function addFront(program: Command, io: Io): void {
  program
    .command('front', { hidden: true })
    .description('the front of a host, which the host starts')
    .action(() => perform(io, true, () => runFront((urls) => io.out(`${JSON.stringify({ urls })}\n`))))
}
