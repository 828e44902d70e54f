/** The configuration of `service-fs serve` from flags and the environment. */
import { DEFAULT_LISTEN } from './serve-options.ts'
import { resolve } from 'node:path'
import { parseDiskSize } from '@service-fs/cli/numbers'
import { DEFAULT_LIMITS } from '@service-fs/ledger/limits'
import { isModuleId } from '@service-fs/format/module-id'
import { parseDecimal } from '@service-fs/tlog/math'
import { isKeyName } from '@service-fs/tlog/note'
import { parseListen } from '@service-fs/http/address'
import { HostedError } from '@service-fs/http/errors'
import type { CommonConfig, Config } from '@service-fs/hosted/tenant/daemon'
import { requiredTypes, type AuthorSettings } from '@service-fs/hosted/tenant/author-settings'
import type { AcceptSizes } from '@service-fs/hosted/tenant/mark-file'
import { IMMUTABLE_MODES, type ImmutableMode } from '@service-fs/hosted/tenant/immutable'
import type { ScrubSettings } from '@service-fs/hosted/tenant/scrub'
import { MAX_SEARCH_FIELDS, parseField } from '@service-fs/hosted/tenant/search/declared-fields'
import type { SearchField } from '@service-fs/format/json-fields'
import { MAX_SCRUB_DAYS, MAX_SCRUB_RATE, MIN_SCRUB_RATE } from '@service-fs/hosted/tenant/scrub-limits'
import { inheritedSocket } from '@service-fs/http/socket-activation'

/** The configuration of Envelope B. */
export interface DiskConfig extends CommonConfig {
  /** The absolute path of the disk image. The keys are beside it in `.secret/<moduleId>/`. */
  disk: string
  /** The size of the disk in bytes, a multiple of 512, if a missing image is to be created. */
  size: number | undefined
}

/** The flags as commander parses them. */
export interface ServeFlags {
  envelope?: string | undefined
  moduleId?: string | undefined
  root?: string | undefined
  disk?: string | undefined
  diskSize?: string | undefined
  listen?: string | undefined
  origin?: string | undefined
  behindFront?: boolean | undefined
  access?: string | undefined
  maxPayloadBytes?: string | undefined
  immutable?: string | undefined
  publicReads?: boolean | undefined
  readOnly?: boolean | undefined
  allowClockAhead?: boolean | undefined
  searchField?: readonly string[] | undefined
  scrubDays?: string | undefined
  scrubRate?: string | undefined
  authorAnchors?: string | undefined
  requireSignature?: string | undefined
  acceptShorterTree?: string | undefined
  acceptShorterAuditTree?: string | undefined
}

type Environment = Readonly<Record<string, string | undefined>>

/** Returns the envelope that --envelope or FS_ENVELOPE selects; `a` by default. @throws HostedError `usage` */
export function envelopeOf(flags: ServeFlags, env: Environment): 'a' | 'b' {
  const envelope = flags.envelope ?? env['FS_ENVELOPE'] ?? 'a'
  if (envelope === 'a' || envelope === 'b') return envelope
  throw usage(`--envelope: expected a (files) or b (a disk image), found ${envelope}`)
}

/**
 * Reads the flags. If a flag is absent, reads FS_MODULE_ID, FS_LEDGER_ROOT, FS_LISTEN, FS_ORIGIN, FS_ACCESS or FS_IMMUTABLE.
 * @throws HostedError `usage`
 */
export function configOf(flags: ServeFlags, env: Environment): Config {
  if (flags.disk !== undefined || flags.diskSize !== undefined)
    throw usage('--disk and --disk-size are for --envelope b; --envelope a has --root')
  const common = commonOf(flags, env)
  const root = flags.root ?? env['FS_LEDGER_ROOT']
  if (root === undefined || root === '')
    throw usage('expected the directory of the ledgers: --root DIR or FS_LEDGER_ROOT')
  if (flags.behindFront === true && !('path' in common.listen))
    throw usage(
      '--behind-front: expected --listen unix:/path, because the daemon trusts every client that can connect',
    )
  const access = flags.access ?? env['FS_ACCESS']
  if (flags.behindFront === true && access !== undefined)
    throw usage('--behind-front: expected no --access, because the front names the subject of each request')
  if (flags.behindFront === true && flags.publicReads === true)
    throw usage(
      '--behind-front: expected no --public-reads, because the front requires credentials for reads',
    )
  const immutable = flags.immutable ?? env['FS_IMMUTABLE']
  return {
    ...common,
    root: resolve(root),
    ...(flags.behindFront === true ? { behindFront: true } : {}),
    ...(flags.allowClockAhead === true ? { allowClockAhead: true } : {}),
    ...(access === undefined ? {} : { access: resolve(access) }),
    ...(flags.maxPayloadBytes === undefined ? {} : { maxPayloadBytes: payloadBytes(flags.maxPayloadBytes) }),
    ...(immutable === undefined ? {} : { immutable: immutableMode(immutable) }),
    ...(flags.searchField === undefined ? {} : { searchFields: searchFields(flags.searchField) }),
    ...scrubOf(flags),
    ...authorsOf(flags),
    ...(flags.publicReads === true ? { publicReads: true } : {}),
    ...(flags.readOnly === true ? { readOnly: true } : {}),
  }
}

function immutableMode(text: string): ImmutableMode {
  const mode = IMMUTABLE_MODES.find((one) => one === text)
  if (mode !== undefined) return mode
  throw usage(`--immutable: expected ${IMMUTABLE_MODES.join(', ')}, found ${text}`)
}

/** Parses a payload limit. It cannot exceed the default, for which the buffers of requests and responses are sized. */
function payloadBytes(text: string): number {
  return integer('--max-payload-bytes', text, 1, DEFAULT_LIMITS.maxPayloadBytes)
}

function integer(flag: string, text: string, least: number, most: number): number {
  const value = /^[1-9]\d{0,15}$/.test(text) ? Number(text) : Number.NaN
  if (value >= least && value <= most) return value
  throw usage(`${flag}: expected an integer from ${least} to ${most}, found ${text}`)
}

function scrubOf({ scrubDays, scrubRate }: ServeFlags): { scrub?: ScrubSettings } {
  if (scrubDays === undefined && scrubRate === undefined) return {}
  const days = scrubDays === undefined ? undefined : integer('--scrub-days', scrubDays, 1, MAX_SCRUB_DAYS)
  const rate =
    scrubRate === undefined ? undefined : integer('--scrub-rate', scrubRate, MIN_SCRUB_RATE, MAX_SCRUB_RATE)
  return {
    scrub: {
      ...(days === undefined ? {} : { periodMs: days * 86_400_000 }),
      ...(rate === undefined ? {} : { pace: { bytesPerSecond: rate } }),
    },
  }
}

function authorsOf({ authorAnchors, requireSignature }: ServeFlags): { authors?: AuthorSettings } {
  if (authorAnchors === undefined && requireSignature === undefined) return {}
  if (authorAnchors === undefined)
    throw usage(
      '--require-signature: expected --author-anchors too, because anybody can make a certificate of their own',
    )
  const require = requireSignature === undefined ? [] : requiredTypes(requireSignature.split(','))
  if (require === undefined)
    throw usage(
      `--require-signature: expected starts of media types, separated by commas, or *, found ${requireSignature}`,
    )
  return { authors: { anchors: resolve(authorAnchors), require } }
}

function searchFields(texts: readonly string[]): SearchField[] {
  if (texts.length > MAX_SEARCH_FIELDS)
    throw usage(`--search-field: expected at most ${MAX_SEARCH_FIELDS} fields, found ${texts.length}`)
  return texts.map((text) => {
    const field = parseField(text)
    if (typeof field === 'string') throw usage(`--search-field: expected ${field}, found ${text}`)
    return field
  })
}

/** Reads the flags. If a flag is absent, reads FS_MODULE_ID, FS_DISK, FS_DISK_SIZE, FS_LISTEN or FS_ORIGIN. @throws HostedError `usage` */
export function diskConfigOf(flags: ServeFlags, env: Environment): DiskConfig {
  if (flags.root !== undefined) throw usage('--root is for --envelope a; --envelope b has --disk')
  if (flags.behindFront === true) throw usage('--behind-front is for --envelope a')
  if (flags.allowClockAhead === true) throw usage('--allow-clock-ahead is for --envelope a')
  if ((flags.access ?? env['FS_ACCESS']) !== undefined) throw usage('--access is for --envelope a')
  if (flags.maxPayloadBytes !== undefined) throw usage('--max-payload-bytes is for --envelope a')
  if ((flags.immutable ?? env['FS_IMMUTABLE']) !== undefined) throw usage('--immutable is for --envelope a')
  if (flags.publicReads === true) throw usage('--public-reads is for --envelope a')
  if (flags.searchField !== undefined) throw usage('--search-field is for --envelope a')
  if (flags.scrubDays !== undefined) throw usage('--scrub-days is for --envelope a')
  if (flags.scrubRate !== undefined) throw usage('--scrub-rate is for --envelope a')
  if (flags.authorAnchors !== undefined) throw usage('--author-anchors is for --envelope a')
  if (flags.requireSignature !== undefined) throw usage('--require-signature is for --envelope a')
  if (flags.readOnly === true) throw usage('--read-only is for --envelope a')
  const common = commonOf(flags, env)
  if (common.listen.fd !== undefined) throw usage('--listen systemd is for --envelope a')
  const disk = flags.disk ?? env['FS_DISK']
  if (disk === undefined || disk === '') throw usage('expected the disk image: --disk FILE or FS_DISK')
  const size = flags.diskSize ?? env['FS_DISK_SIZE']
  return {
    ...common,
    disk: resolve(disk),
    size: size === undefined ? undefined : parseDiskSize(size, '--disk-size'),
  }
}

function commonOf(flags: ServeFlags, env: Environment): CommonConfig {
  const moduleId = flags.moduleId ?? env['FS_MODULE_ID']
  if (moduleId === undefined) throw usage('expected the tenant: --module-id ID or FS_MODULE_ID')
  if (!isModuleId(moduleId)) {
    throw usage(`--module-id: expected lower-case letters, digits and hyphens, at most 63, found ${moduleId}`)
  }
  const origin = flags.origin ?? env['FS_ORIGIN']
  if (origin !== undefined && !isKeyName(origin)) {
    throw usage(
      `--origin: expected a name without spaces and plus signs, such as example.org/ledger/${moduleId}`,
    )
  }
  const where = flags.listen ?? env['FS_LISTEN'] ?? DEFAULT_LISTEN
  const listen = where === 'systemd' ? inheritedSocket(env, process.pid) : parseListen(where)
  return { moduleId, listen, origin, ...acceptOf(flags) }
}

function acceptOf({ acceptShorterTree, acceptShorterAuditTree }: ServeFlags): { acceptSizes?: AcceptSizes } {
  if (acceptShorterTree === undefined && acceptShorterAuditTree === undefined) return {}
  return {
    acceptSizes: {
      main: treeSize('--accept-shorter-tree', acceptShorterTree),
      audit: treeSize('--accept-shorter-audit-tree', acceptShorterAuditTree),
    },
  }
}

function treeSize(flag: string, text: string | undefined): number | undefined {
  const size = text === undefined ? undefined : parseDecimal(text)
  if (size !== undefined || text === undefined) return size
  throw usage(`${flag}: expected the number of entries that the ledger has, in decimal, found ${text}`)
}

function usage(message: string): HostedError {
  return new HostedError('usage', message)
}
