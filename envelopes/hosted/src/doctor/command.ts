/** Adds the command `doctor`, which reports the protections in force on this machine. */
import { resolve } from 'node:path'
import type { Command } from 'commander'
import type { Io } from '@service-fs/cli/io'
import { FALSE, perform, USAGE } from '@service-fs/cli/perform'
import { isModuleId } from '@service-fs/format/module-id'
import { visibleLine } from '@service-fs/format/visible'
import { HostedError } from '@service-fs/http/errors'
import { examine, tenantsIn, type DoctorReport } from './examine.ts'
import type { Examined } from './files.ts'
import type { Finding } from './finding.ts'

interface DoctorFlags {
  config?: string
  root?: string
  moduleId?: string
  json?: boolean
}

export function addDoctor(program: Command, io: Io): void {
  program
    .command('doctor')
    .description('check which protections are in force on this machine; exits with status 1 if one is wrong')
    .option('--config <file>', 'examine the tenants of this host.json')
    .option('--root <dir>', 'examine the ledgers in this directory (FS_LEDGER_ROOT)')
    .option('--module-id <id>', 'examine one tenant (FS_MODULE_ID; default: all)')
    .option('--json', 'print the findings as JSON')
    .action((flags: DoctorFlags) => perform(io, flags.json, () => doctor(flags, io)))
}

async function doctor(flags: DoctorFlags, io: Io): Promise<number> {
  try {
    const tenants = await tenantsOf(flags)
    const report = await examine(tenants, flags.config !== undefined)
    await io.out(flags.json === true ? `${JSON.stringify(report)}\n` : textOf(report))
    return report.ok ? 0 : FALSE
  } catch (error) {
    if (!(error instanceof HostedError && ['usage', 'config'].includes(error.code))) throw error
    io.err(`service-fs: ${error.message}`)
    return USAGE
  }
}

async function tenantsOf(flags: DoctorFlags): Promise<Examined[]> {
  const moduleId = flags.moduleId ?? process.env['FS_MODULE_ID']
  if (moduleId !== undefined && !isModuleId(moduleId))
    throw new HostedError(
      'usage',
      `--module-id: expected lower-case letters, digits and hyphens, at most 63, found ${moduleId}`,
    )
  const all = await allOf(flags)
  const chosen = moduleId === undefined ? all : all.filter((tenant) => tenant.moduleId === moduleId)
  if (chosen.length > 0) return chosen
  throw new HostedError(
    'usage',
    moduleId === undefined ? 'no ledger is there' : `${moduleId}: no such tenant`,
  )
}

async function allOf({ config, root = process.env['FS_LEDGER_ROOT'] }: DoctorFlags): Promise<Examined[]> {
  if (config === undefined) {
    if (root === undefined)
      throw new HostedError('usage', 'expected --config FILE or --root DIR, to find the ledgers')
    return tenantsIn(resolve(root))
  }
  const host = await (await import('../host/config.ts')).loadHostConfig(config)
  return host.tenants.map(({ moduleId }) => ({ moduleId, root: host.root, immutable: host.immutable }))
}

function textOf({ tenants, machine, ok }: DoctorReport): string {
  const blocks = tenants.map(
    ({ module_id, dir, findings }) => `${module_id}  ${dir}\n${findingsText(findings)}`,
  )
  const end = ok ? 'Nothing is wrong.' : 'Lines with ! show a wrong state.'
  return `${[...blocks, `machine\n${findingsText(machine)}`].join('\n')}\n${end}\n`
}

function findingsText(findings: readonly Finding[]): string {
  return findings
    .map(
      ({ check, in_force, found, wrong }) =>
        `${wrong ? '!' : ' '} ${in_force.padEnd(7)}  ${check.padEnd(23)}  ${visibleLine(found)}\n`,
    )
    .join('')
}
