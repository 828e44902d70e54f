/** The flags of `serve`. */
import type { Command } from 'commander'

/** The default listen address of a daemon. */
export const DEFAULT_LISTEN: string = '127.0.0.1:8080'

function collect(value: string, before: string[] = []): string[] {
  return [...before, value]
}

/** Adds `serve` with its flags, but without its action. */
export function describeServe(program: Command): Command {
  return program
    .command('serve')
    .description(
      "run one tenant's ledger; FS_ENVELOPE, FS_MODULE_ID, FS_LEDGER_ROOT, FS_DISK, FS_DISK_SIZE, FS_LISTEN, FS_ORIGIN, FS_ACCESS and FS_IMMUTABLE set the flags",
    )
    .option(
      '--envelope <a|b>',
      'a: files in a directory; b: a disk image, as the seL4 appliance has it (default: a)',
    )
    .option('--module-id <id>', 'the tenant')
    .option('--root <dir>', 'a: the directory of the ledgers, each in a subdirectory')
    .option('--disk <file>', 'b: the disk image, a tar archive')
    .option('--disk-size <size>', 'b: create a missing image with this size, such as 256M')
    .option(
      '--listen <address>',
      `HOST:PORT, [IPV6]:PORT, unix:/path, or systemd for the socket of a .socket unit (default: ${DEFAULT_LISTEN})`,
    )
    .option('--origin <origin>', "a new ledger's origin; it stays for good")
    .option(
      '--access <file>',
      'a: a JSON file with credentials, roles and TLS (default: every client that can connect may do everything)',
    )
    .option(
      '--immutable <mode>',
      'a: auto, off or required: make sealed files immutable by file attributes; needs root (default: off)',
    )
    .option('--max-payload-bytes <bytes>', 'a: the largest payload of a record (default: 16 MiB)')
    .option(
      '--public-reads',
      'a: let everybody read the ledger without credentials, and record no reads; a notice in the audit sub-ledger says so',
    )
    .option(
      '--search-field <type:pointer>',
      'a: let searches compare this field of records, such as application/json:/customer/id; may be repeated',
      collect,
    )
    .option('--scrub-days <days>', 'a: how long the background check of all sealed files takes (default: 30)')
    .option('--scrub-rate <bytes>', 'a: the most bytes that it reads per second (default: 5000000)')
    .option(
      '--author-anchors <file>',
      'a: certificates in PEM that the signatures of authors must lead to (default: any certificate)',
    )
    .option(
      '--require-signature <types>',
      'a: the starts of media types, separated by commas, whose records must be signed by their author; * is every type',
    )
    .option('--read-only', 'a: write nothing to the ledger, and serve the complete commits of a damaged tail')
    .option(
      '--accept-shorter-tree <size>',
      'open a ledger of this many entries although more were acknowledged, and give up the missing ones',
    )
    .option(
      '--allow-clock-ahead',
      'a: accept records even when the clock is more than a day ahead of the time elapsed since the start',
    )
    .option('--accept-shorter-audit-tree <size>', 'the same for its audit sub-ledger')
    .option(
      '--behind-front',
      'a: trust the front of `service-fs host` to name the subject of each request; only the front may connect',
    )
    .option('--json', 'print the addresses as one line of JSON')
}
