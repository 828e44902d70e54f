/** The options of commands that select records. */
import { messageOf } from '@service-fs/format/errors'
import { Selection } from '@service-fs/format/selection'
import { ClientError } from '@service-fs/client/errors'
import type { Command } from 'commander'

export interface SelectionOptions {
  from?: string
  to?: string
  type?: string
  prefix?: string
}

export function selectionOptions(command: Command): Command {
  return command
    .option('--from <time>', 'records of this time or later, such as 2026-11-22T00:00:00.000Z')
    .option('--to <time>', 'records before this time')
    .option('--type <type>', 'records of this media type')
    .option('--prefix <prefix>', 'records whose identifier starts with this text')
}

/** Returns the selection that the options name. @throws ClientError `usage` */
export function selectionOf({ from, to, type, prefix }: SelectionOptions): Selection {
  try {
    return new Selection({
      ...(from === undefined ? {} : { from }),
      ...(to === undefined ? {} : { to }),
      ...(type === undefined ? {} : { type }),
      ...(prefix === undefined ? {} : { prefix }),
    })
  } catch (error) {
    throw new ClientError('usage', `--${messageOf(error)}`)
  }
}
