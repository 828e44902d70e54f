import { basename, dirname, join, resolve } from 'node:path'
import { Option, type Command } from 'commander'
import { isModuleId } from '@service-fs/format/module-id'
import { ledgerCopy } from '../copy.ts'
import { ClientError } from '@service-fs/client/errors'
import type { Io } from '../io.ts'
import type { LedgerFiles } from '@service-fs/client/ledger-files'
import { parseDiskSize } from '../numbers.ts'
import { keyOptions, trustOptions, type KeyOptions } from '../options.ts'
import { perform } from '../perform.ts'
import { directoryOutput } from '../output-directory.ts'
import { imageOutput } from '../output-tar.ts'
import type { Output } from '../output.ts'
import { copyInto } from '../report.ts'
import { verifyFiles } from '@service-fs/client/verify-directory'
import { refuseStore, withFilesAt } from '../places.ts'

interface RestoreOptions extends KeyOptions {
  out?: string
  moduleId?: string
  diskSize?: string
  json?: boolean
}

/** `restore`: makes a ledger from an export, so that a daemon can append to it. */
export function addRestore(program: Command, io: Io): void {
  keyOptions(program.command('restore <export>'))
    .description('verify an export, and create a ledger or a disk image from it')
    .option('--out <path>', 'the ledger directory to create, or the disk image if the name ends in .img')
    .addOption(
      new Option('--module-id <id>', "the tenant (default: the origin's last part)").env('FS_MODULE_ID'),
    )
    .option(
      '--disk-size <bytes>',
      "the disk image's size, with K, M or G (default: four times the content, at least 256M)",
    )
    .option('--json', 'print the report as JSON')
    .action((path: string, options: RestoreOptions) =>
      perform(io, options.json, () =>
        withFilesAt(path, options.moduleId, (files) => restore(files, options, io)),
      ),
    )
}

async function restore(files: LedgerFiles, options: RestoreOptions, io: Io): Promise<number> {
  const trust = await trustOptions(options)
  const { out } = options
  if (out === undefined) throw new ClientError('usage', 'expected --out')
  refuseStore('--out', out)
  const { output, secret } = await openOutput(files, out, options)
  return copyInto(
    { output, out, verb: 'restored', json: options.json },
    io,
    (progress) => verifyFiles(files, { ...trust, copy: ledgerCopy(output), progress }),
    `      before you serve it, put its private keys into ${secret}\n`,
  )
}

/** Opens the output, and returns the directory in which a daemon looks for the private keys. */
async function openOutput(
  files: LedgerFiles,
  out: string,
  options: RestoreOptions,
): Promise<{ output: Output; secret: string }> {
  const path = resolve(out)
  const size = options.diskSize === undefined ? undefined : parseDiskSize(options.diskSize, '--disk-size')
  if (out.endsWith('.img')) {
    const moduleId = options.moduleId ?? (await idOf(files))
    if (!isModuleId(moduleId))
      throw new ClientError(
        'usage',
        `--module-id: expected [a-z0-9][a-z0-9-]*, found ${JSON.stringify(moduleId)}`,
      )
    return {
      output: await imageOutput(path, moduleId, size),
      secret: join(dirname(path), '.secret', moduleId),
    }
  }
  if (out.endsWith('.tar'))
    throw new ClientError('usage', `--out: expected a directory or .img, found ${out}`)
  if (size !== undefined) throw new ClientError('usage', '--disk-size: expected with --out of a disk image')
  return { output: await directoryOutput(path), secret: join(dirname(path), '.secret', basename(path)) }
}

/** Returns the last part of the origin, the module ID of a ledger with the default origin. */
async function idOf(files: LedgerFiles): Promise<string> {
  const origin = (await files.read('origin'))?.toString('utf8').trim() ?? ''
  const id = origin.split('/').at(-1) ?? ''
  if (isModuleId(id)) return id
  throw new ClientError(
    'usage',
    `expected --module-id, because the origin ${JSON.stringify(origin)} does not end in one`,
  )
}
