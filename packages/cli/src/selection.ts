/** The options of commands that select records. */
import { messageOf } from '@service-fs/format/errors'
import { Selection } from '@service-fs/format/selection'
import { nativeCodec } from '@service-fs/native/native'
import { ClientError } from '@service-fs/client/errors'
import type { Command } from 'commander'
import { collect } from './options.ts'

export interface SelectionOptions {
  from?: string
  to?: string
  type?: string
  prefix?: string
  where?: string[]
}

export function selectionOptions(command: Command): Command {
  return command
    .option('--from <time>', 'records of this time or later, such as 2026-11-22T00:00:00.000Z')
    .option('--to <time>', 'records before this time')
    .option('--type <type>', 'records of this media type')
    .option('--prefix <prefix>', 'records whose identifier starts with this text')
    .option(
      '--where <pointer=value>',
      'records whose JSON has this value at this JSON pointer, such as /customer/id=4711; may be repeated',
      collect,
    )
}

/** Returns the selection that the options name. @throws ClientError `usage` */
export function selectionOf({ from, to, type, prefix, where }: SelectionOptions): Selection {
  try {
    const fields = {
      ...(from === undefined ? {} : { from }),
      ...(to === undefined ? {} : { to }),
      ...(type === undefined ? {} : { type }),
      ...(prefix === undefined ? {} : { prefix }),
      ...(where === undefined ? {} : { where }),
    }
    return new Selection(fields, nativeCodec)
  } catch (error) {
    throw new ClientError('usage', `--${messageOf(error)}`)
  }
}
