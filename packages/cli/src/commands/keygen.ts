import { randomBytes } from 'node:crypto'
import { hostname } from 'node:os'
import { Option, type Command } from 'commander'
import { TYPE_ED25519, TYPE_MLDSA44_COSIGNATURE, formatVkey, isKeyName } from '@service-fs/tlog/note'
import { formatSignerKey, signerVkey } from '@service-fs/tlog/keys'
import { ClientError } from '@service-fs/client/errors'
import type { Io } from '../io.ts'
import { perform } from '../perform.ts'
import { createSecretFile } from '../secret-file.ts'

interface KeygenOptions {
  name: string
  out?: string
  algorithm: string
  json?: boolean
}

const TYPES: Readonly<Record<string, number>> = {
  ed25519: TYPE_ED25519,
  'ml-dsa-44': TYPE_MLDSA44_COSIGNATURE,
}

/** `keygen`: makes a note signer key in a file that only its owner can read, and prints the vkey. */
export function addKeygen(program: Command, io: Io): void {
  program
    .command('keygen')
    .description('make a signer key (mode 0600, never overwritten) and print its verifier key')
    .addOption(
      new Option('--name <name>', 'the name of the key, which is the origin of the log').default(
        hostname(),
        'the host name',
      ),
    )
    .option('--out <file>', 'write the private key to this file (default: <name>.key; - prints it)')
    .addOption(
      new Option('--algorithm <name>', 'the signature algorithm')
        .choices(Object.keys(TYPES))
        .default('ed25519'),
    )
    .option('--json', 'print {"name", "vkey", "file"}')
    .action((options: KeygenOptions) => perform(io, options.json, () => keygen(options, io)))
}

async function keygen(options: KeygenOptions, io: Io): Promise<void> {
  const { name } = options
  if (!isKeyName(name))
    throw new ClientError(
      'usage',
      `--name: expected a name without spaces and plus signs, found ${JSON.stringify(name)}`,
    )
  const key = { name, type: TYPES[options.algorithm] as number, seed: new Uint8Array(randomBytes(32)) }
  const vkey = formatVkey(signerVkey(key))
  const secret = formatSignerKey(key) + '\n'
  const file = options.out ?? `${name.replaceAll(/[^A-Za-z0-9.-]+/g, '-')}.key`
  if (file === '-') {
    io.err(vkey)
    return io.out(secret)
  }
  await createSecretFile(file, (handle) => handle.writeFile(secret))
  await io.out(options.json === true ? JSON.stringify({ name, vkey, file }) + '\n' : vkey + '\n')
  if (options.json !== true) io.err(`private key in ${file}`)
}
