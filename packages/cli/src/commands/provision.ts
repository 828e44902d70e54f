import { unlink, type FileHandle } from 'node:fs/promises'
import type { Command } from 'commander'
import { defaultOrigin, isModuleId } from '@service-fs/format/module-id'
import { ClientError } from '@service-fs/client/errors'
import type { Io } from '../io.ts'
import { KEY_DISK_BYTES, keyDisk } from '../key-disk.ts'
import { parseDiskSize } from '../numbers.ts'
import { perform } from '../perform.ts'
import { createSecretFile } from '../secret-file.ts'
import { tenantKeys, diskVkey, type Tenant, type TenantKeys } from '../tenant-keys.ts'

const MOST_TENANTS = 31
const DEFAULT_SIZE = '256M'

interface ProvisionOptions {
  moduleId?: Tenant[]
  origin?: true
  fromSecret?: true
  keyDisk?: string
  dataDisk?: string
  diskSize?: string
  empty?: boolean
  json?: boolean
}

/** `provision`: makes the disks of an appliance. */
export function addProvision(program: Command, io: Io): void {
  const tenants: Tenant[] = []
  /** Sets a field of the tenant that the last --module-id named. */
  const ofLast = (field: 'origin' | 'secret', flag: string) => (value: string) => {
    const tenant = tenants.at(-1)
    if (tenant === undefined || tenant[field] !== undefined)
      program.error(`service-fs: ${flag}: expected once, after the --module-id that it belongs to`)
    else tenant[field] = value
    return true
  }
  program
    .command('provision')
    .description("create an appliance's key disk and data disk (mode 0600, never overwritten)")
    .option('--module-id <id>', 'a tenant; may be repeated', (moduleId: string) => {
      tenants.push({ moduleId })
      return tenants
    })
    .option('--origin <origin>', "the origin of the last tenant's ledger", ofLast('origin', '--origin'))
    .option(
      '--from-secret <dir>',
      "take the last tenant's keys from a daemon's .secret/<id> directory",
      ofLast('secret', '--from-secret'),
    )
    .option('--key-disk <file>', 'the key disk to create')
    .option('--data-disk <file>', 'the data disk to create')
    .option('--disk-size <bytes>', `the data disk's size, with K, M or G (default: ${DEFAULT_SIZE})`)
    .option('--empty', 'put no keys on the key disk; the appliance creates them when it starts')
    .option('--json', 'print {"key_disk", "data_disk", "tenants": [{"module_id", "origin", "vkey", …}]}')
    .action((options: ProvisionOptions) => perform(io, options.json, () => provision(options, io)))
}

async function provision(options: ProvisionOptions, io: Io): Promise<void> {
  const tenants = options.moduleId ?? []
  checkOptions(options, tenants)
  const size = parseDiskSize(options.diskSize ?? DEFAULT_SIZE, '--disk-size')
  const made = options.empty === true || options.keyDisk === undefined ? [] : await tenantKeys(tenants)
  const content =
    options.empty === true ? Buffer.alloc(KEY_DISK_BYTES) : keyDisk(made.flatMap(({ keys }) => keys))
  const files: string[] = []
  try {
    const create = async (path: string, fill: (file: FileHandle) => Promise<void>): Promise<void> => {
      await createSecretFile(path, fill)
      files.push(path)
    }
    if (options.keyDisk !== undefined) await create(options.keyDisk, (file) => file.writeFile(content))
    if (options.dataDisk !== undefined) await create(options.dataDisk, (file) => file.truncate(size))
  } catch (error) {
    for (const file of files) await unlink(file)
    throw error
  } finally {
    content.fill(0)
    for (const { keys } of made) for (const { seed } of keys) seed.fill(0)
  }
  await report(made, options, io)
}

function usage(message: string): never {
  throw new ClientError('usage', message)
}

/** @throws ClientError `usage` */
function checkOptions(
  { keyDisk: keys, dataDisk, diskSize, empty }: ProvisionOptions,
  tenants: readonly Tenant[],
): void {
  if (keys === undefined && dataDisk === undefined) usage('expected --key-disk, --data-disk or both')
  if (diskSize !== undefined && dataDisk === undefined) usage('--disk-size: expected with --data-disk')
  if (keys === undefined) {
    if (empty === true || tenants.length > 0) usage('--module-id and --empty: expected with --key-disk')
    return
  }
  if (empty === true) {
    if (tenants.some(({ origin, secret }) => origin !== undefined || secret !== undefined))
      usage('--empty: expected no --origin and no --from-secret, because the appliance makes the keys')
  } else if (tenants.length === 0) {
    usage('expected --module-id, or --empty')
  }
  if (tenants.length > MOST_TENANTS) usage(`--module-id: expected at most ${MOST_TENANTS} tenants`)
  for (const [index, { moduleId }] of tenants.entries()) {
    if (!isModuleId(moduleId))
      usage(`--module-id: expected [a-z0-9][a-z0-9-]*, found ${JSON.stringify(moduleId)}`)
    if (tenants.findIndex((tenant) => tenant.moduleId === moduleId) < index)
      usage(`--module-id: expected each tenant once, found ${moduleId} twice`)
  }
}

async function report(made: readonly TenantKeys[], options: ProvisionOptions, io: Io): Promise<void> {
  const tenants = made.map(({ moduleId, origin, keys }) => ({ moduleId, origin, vkeys: keys.map(diskVkey) }))
  if (options.json === true) {
    const members = {
      ...(options.keyDisk === undefined ? {} : { key_disk: options.keyDisk }),
      ...(options.dataDisk === undefined ? {} : { data_disk: options.dataDisk }),
      tenants: tenants.map(({ moduleId, origin, vkeys: [vkey, audit] }) => ({
        module_id: moduleId,
        origin,
        vkey,
        audit_vkey: audit,
      })),
    }
    return io.out(JSON.stringify(members) + '\n')
  }
  for (const { vkeys } of tenants) await io.out(vkeys.join('\n') + '\n')
  if (options.keyDisk !== undefined)
    io.err(
      `${options.empty === true ? 'key disk, empty' : 'key disk, with the private keys'}: ${options.keyDisk}`,
    )
  if (options.dataDisk !== undefined) io.err(`data disk: ${options.dataDisk}`)
  for (const { moduleId, origin } of tenants)
    if (origin !== defaultOrigin(moduleId)) io.err(`in totebox.json: ${JSON.stringify({ moduleId, origin })}`)
  if (options.moduleId?.some(({ secret }) => secret !== undefined) === true)
    io.err('the private keys are now in two places: use the ledger in only one of them')
}
