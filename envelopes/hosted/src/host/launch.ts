/** The commands and limits of a host's processes. */
import type { HostConfig, TenantConfig } from './config.ts'
import type { Confinement } from './confine.ts'
import type { Owner } from './files.ts'
import { fieldText } from '../tenant/search/declared-fields.ts'
import { isRoot } from './uids.ts'
import { socketOf } from './directories.ts'

const MIB = 2 ** 20
const OPEN_FILES = 4096
/** This is twice the memory that a tenant used in a measurement, with the most requests that its limits allow. */
const MEMORY_MIB = 2048
/** V8's address range for machine code. Node.js uses little of it, but from version 23 on RLIMIT_DATA counts all of it. */
const CODE_RANGE_MIB = Number(process.versions.node.split('.')[0]) >= 23 ? 512 : 0
const FRONT_OPEN_FILES = 16_384

/** Returns the command and the limits of a tenant's process. */
export function tenantCommand(
  program: string,
  { root, run, immutable }: HostConfig,
  tenant: TenantConfig,
  owner: Owner | undefined,
): [string[], Confinement] {
  const { moduleId, origin, maxPayloadBytes, acceptShorterTree, acceptShorterAuditTree, readOnly } = tenant
  const { scrubDays, scrubBytesPerSecond, authors, searchFields = {} } = tenant
  const { memoryMiB = MEMORY_MIB, openFiles = OPEN_FILES } = tenant
  const command = [
    process.execPath,
    `--max-old-space-size=${Math.floor((memoryMiB * 3) / 4)}`,
    program,
    'serve',
    '--json',
    '--behind-front',
    `--module-id=${moduleId}`,
    `--root=${root}`,
    `--immutable=${immutable}`,
    `--listen=unix:${socketOf({ run }, moduleId)}`,
    ...(origin === undefined ? [] : [`--origin=${origin}`]),
    ...(maxPayloadBytes === undefined ? [] : [`--max-payload-bytes=${maxPayloadBytes}`]),
    ...(tenant.allowClockAhead === true ? ['--allow-clock-ahead'] : []),
    ...(acceptShorterTree === undefined ? [] : [`--accept-shorter-tree=${acceptShorterTree}`]),
    ...(acceptShorterAuditTree === undefined
      ? []
      : [`--accept-shorter-audit-tree=${acceptShorterAuditTree}`]),
    ...(readOnly === true ? ['--read-only'] : []),
    ...(scrubDays === undefined ? [] : [`--scrub-days=${scrubDays}`]),
    ...(scrubBytesPerSecond === undefined ? [] : [`--scrub-rate=${scrubBytesPerSecond}`]),
    ...(authors === undefined ? [] : [`--author-anchors=${authors.anchors}`]),
    ...(authors?.require === undefined || authors.require.length === 0
      ? []
      : [`--require-signature=${authors.require.join(',')}`]),
    ...Object.entries(searchFields).flatMap(([type, pointers]) =>
      pointers.map((pointer) => `--search-field=${fieldText({ type, pointer })}`),
    ),
  ]
  return [command, { owner, openFiles, dataBytes: (memoryMiB + CODE_RANGE_MIB) * MIB }]
}

/** Returns the command and the limits of the front's process. */
export function frontCommand(
  program: string,
  { front, listen, metrics }: HostConfig,
): [string[], Confinement] {
  const addresses = metrics === undefined ? listen : [...listen, metrics]
  return [
    [process.execPath, program, 'front'],
    {
      openFiles: FRONT_OPEN_FILES,
      ...(isRoot() ? { owner: front } : {}),
      lowPorts: addresses.some((address) => isLowPort(Number(/:(\d+)$/.exec(address)?.[1]))),
    },
  ]
}

function isLowPort(port: number): boolean {
  return port > 0 && port < 1024
}
