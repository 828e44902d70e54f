/** Examines which protections of the ledgers of a root or of a host are in force now. */
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { codeOf } from '@service-fs/format/errors'
import { isModuleId } from '@service-fs/format/module-id'
import { HostedError } from '@service-fs/http/errors'
import { clockFinding, processFindings, writerOf } from './process.ts'
import { examineFiles, statOf, type Examined } from './files.ts'
import { finding, octal, type Finding } from './finding.ts'

export interface TenantReport {
  module_id: string
  dir: string
  findings: Finding[]
}

export interface DoctorReport {
  /** Whether no finding is wrong. */
  ok: boolean
  tenants: TenantReport[]
  /** Findings about the machine, and about the separation of tenants. */
  machine: Finding[]
}

/** Examines the tenants and the machine. @throws HostedError `doctor`: a file or directory cannot be read */
export async function examine(tenants: readonly Examined[], hosted: boolean): Promise<DoctorReport> {
  const reports: TenantReport[] = []
  for (const tenant of tenants) reports.push(await examineTenant(tenant))
  const machine = [await clockFinding(reports.map(({ dir }) => dir)), await usersFinding(reports, hosted)]
  const all = [...machine, ...reports.flatMap(({ findings }) => findings)]
  return { ok: all.every(({ wrong }) => wrong === undefined), tenants: reports, machine }
}

/** Returns the tenants whose ledgers are in a directory. */
export async function tenantsIn(root: string): Promise<Examined[]> {
  const names = await readdir(root).catch((error: unknown) => {
    throw unreadable(root, error)
  })
  const found: Examined[] = []
  for (const moduleId of names.filter((name) => isModuleId(name)).sort())
    if ((await statOf(join(root, moduleId, 'origin'))) !== undefined) found.push({ moduleId, root })
  return found
}

async function examineTenant(tenant: Examined): Promise<TenantReport> {
  const dir = join(tenant.root, tenant.moduleId)
  const report = { module_id: tenant.moduleId, dir }
  try {
    if ((await statOf(join(dir, 'origin'))) === undefined)
      return { ...report, findings: [finding('ledger', 'no', 'no ledger is here yet')] }
    const writer = await writerOf(dir)
    const ofProcess = writer.pid === undefined ? [] : processFindings(writer.pid)
    return { ...report, findings: [...(await examineFiles(tenant)), writer.finding, ...ofProcess] }
  } catch (error) {
    throw unreadable(dir, error)
  }
}

/** Reports whether a separate user, not root, owns each tenant's files, and whether the directories are private. */
async function usersFinding(reports: readonly TenantReport[], hosted: boolean): Promise<Finding> {
  const owners = new Map<number, string[]>()
  const open: string[] = []
  for (const { dir, module_id } of reports) {
    const stats = await statOf(dir)
    if (stats === undefined) continue
    owners.set(stats.uid, [...(owners.get(stats.uid) ?? []), module_id])
    if ((stats.mode & 0o077) !== 0) open.push(`${module_id} (${octal(stats.mode)})`)
  }
  const shared = [...owners].filter(([uid, ids]) => ids.length > 1 || uid === 0)
  if (shared.length === 0 && open.length === 0)
    return finding(
      'separate-users',
      'yes',
      `${owners.size} tenants with files, each owned by a separate user`,
    )
  const [uid, ids = []] = shared[0] ?? []
  const found =
    uid === undefined
      ? `other users may read the directories of ${open.join(', ')}`
      : `uid ${uid} owns the files of ${ids.join(', ')}`
  return finding('separate-users', 'no', found, hosted && process.getuid?.() === 0)
}

function unreadable(path: string, error: unknown): unknown {
  if (!(error instanceof Error && 'syscall' in error)) return error
  const who =
    codeOf(error) === 'EACCES' || codeOf(error) === 'EPERM' ? ': run it as root, or as its owner' : ''
  return new HostedError('doctor', `${path}: ${error.message}${who}`, { cause: error })
}
