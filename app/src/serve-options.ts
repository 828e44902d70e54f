/** The flags of `serve`. */
import type { Command } from 'commander'

/** The default listen address of a daemon. */
export const DEFAULT_LISTEN: string = '127.0.0.1:8080'

/** Adds `serve` with its flags, but without its action. */
export function describeServe(program: Command): Command {
  return program
    .command('serve')
    .description(
      "run one tenant's ledger; FS_ENVELOPE, FS_MODULE_ID, FS_LEDGER_ROOT, FS_DISK, FS_DISK_SIZE, FS_LISTEN, FS_ORIGIN, FS_ACCESS and FS_IMMUTABLE stand for the flags",
    )
    .option(
      '--envelope <a|b>',
      'a: files in a directory; b: a disk image, as the seL4 appliance has it (default: a)',
    )
    .option('--module-id <id>', 'the tenant')
    .option('--root <dir>', 'a: the directory that holds the ledgers, each in a directory of its own')
    .option('--disk <file>', 'b: the disk image, a tar archive')
    .option('--disk-size <size>', 'b: makes the image where there is none, such as 256M')
    .option(
      '--listen <address>',
      `HOST:PORT, [IPV6]:PORT, unix:/path, or systemd for the socket of a .socket unit (default: ${DEFAULT_LISTEN})`,
    )
    .option('--origin <origin>', "a new ledger's origin; it stays for good")
    .option(
      '--access <file>',
      'a: who may do what, and TLS, in JSON (default: whoever can connect may do everything)',
    )
    .option(
      '--immutable <mode>',
      'a: auto, off or required: make what is sealed immutable by file attributes, which takes root (default: off)',
    )
    .option('--max-payload-bytes <bytes>', "a: the most that a record's payload may have (default: 16 MiB)")
    .option(
      '--read-only',
      'a: write nothing to the ledger, and show one with a damaged tail as far as it is whole',
    )
    .option(
      '--accept-shorter-tree <size>',
      'open a ledger of this many entries although more were acknowledged: what is missing is given up',
    )
    .option(
      '--allow-clock-ahead',
      'a: take records also when the clock is more than a day ahead of the time that has passed since the start',
    )
    .option('--accept-shorter-audit-tree <size>', 'the same for its audit sub-ledger')
    .option('--behind-front', 'a: believe the front of `service-fs host`, which alone connects, who asks')
    .option('--json', 'print the addresses as one line of JSON')
}
