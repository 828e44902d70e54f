/** Examines how the files of one tenant are protected from changes, from other readers, and from loss. */
import { type Stats, closeSync, constants, openSync } from 'node:fs'
import { readdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { codeOf } from '@service-fs/format/errors'
import { loadAttributes } from '@service-fs/storage-posix/attributes'
import { survey, type Survey } from '@service-fs/storage-posix/survey'
import type { ImmutableMode } from '../tenant/immutable.ts'
import { AUDIT_KEY, LEDGER_KEY, secretDir } from '../tenant/keys.ts'
import { treeFolders } from '../tenant/tree-folders.ts'
import { fileSystemOf, IN_MEMORY, ON_NETWORK } from '../process/process-facts.ts'
import { demanded, finding, listed, octal, share, type Finding } from './finding.ts'

/** A tenant to examine. */
export interface Examined {
  moduleId: string
  root: string
  /** The setting of file attributes in host.json. */
  immutable?: ImmutableMode
}

/** Examines a ledger together with its audit sub-ledger. */
export async function examineFiles({ moduleId, root, immutable }: Examined): Promise<Finding[]> {
  const dir = join(root, moduleId)
  const owner = await stat(dir)
  const surveys: [string, Survey][] = []
  for (const name of ['', 'audit/'])
    if (await isThere(join(dir, name)))
      surveys.push([
        name,
        await survey(join(dir, name), { trees: name === '' ? await treeFolders(dir) : [] }),
      ])
  const required = immutable === 'required'
  return [
    directoryFinding(owner),
    ...sealedFindings(surveys, required),
    await namesFinding(dir, surveys),
    tailFinding(surveys, required),
    await mediumFinding(dir),
    ...(await keyFindings(root, moduleId, owner.uid)),
  ]
}

function directoryFinding({ mode, uid }: Stats): Finding {
  return demanded('directory-private', (mode & 0o077) === 0, `mode ${octal(mode)}, uid ${uid}`)
}

function sealedFindings(surveys: readonly [string, Survey][], required: boolean): Finding[] {
  const sum = (of: 'sealed' | 'immutable' | 'writable'): number =>
    surveys.reduce((all, [, one]) => all + one[of], 0)
  const paths = (of: 'mutablePaths' | 'writablePaths' | 'foreignPaths'): string[] =>
    surveys.flatMap(([name, one]) => one[of].map((path) => name + path))
  const [sealed, immutable, writable, foreign] = [
    sum('sealed'),
    sum('immutable'),
    sum('writable'),
    paths('foreignPaths'),
  ]
  const inForce = share(immutable, sealed)
  const which = inForce === 'partly' ? `; not ${listed(paths('mutablePaths'), sealed - immutable)}` : ''
  return [
    finding(
      'sealed-mode',
      writable === 0 && foreign.length === 0 ? 'yes' : 'partly',
      writable === 0 && foreign.length === 0
        ? `${sealed} sealed files, none with a mode that permits writing`
        : `writable or not regular files: ${listed([...paths('writablePaths'), ...foreign], writable + foreign.length)}`,
      writable > 0 || foreign.length > 0,
    ),
    finding(
      'sealed-immutable',
      inForce,
      `${immutable} of ${sealed} sealed files${which}`,
      inForce === 'partly' || (required && inForce !== 'yes'),
    ),
  ]
}

/** Reports whether the directories of sealed files are append-only. Only a system call shows this attribute. */
async function namesFinding(dir: string, surveys: readonly [string, Survey][]): Promise<Finding> {
  const attributes = await loadAttributes()
  if (attributes === undefined)
    return finding('sealed-names', 'unknown', 'file attributes are not supported on this system')
  let [all, growing] = [0, 0]
  const trees = (await treeFolders(dir)).map((tree) => `${tree}/`)
  for (const name of [...surveys.map(([ledger]) => ledger), ...trees])
    for (const path of await sealedDirectories(join(dir, name))) {
      const fd = openSync(path, constants.O_RDONLY | constants.O_DIRECTORY)
      try {
        all += 1
        if (attributes.has(fd, 'append-only')) growing += 1
      } catch (error) {
        if (codeOf(error) !== 'ENOTTY' && codeOf(error) !== 'ENOTSUP') throw error
      } finally {
        closeSync(fd)
      }
    }
  const inForce = share(growing, all)
  return finding(
    'sealed-names',
    inForce,
    `${growing} of ${all} directories of sealed files are append-only`,
    inForce === 'partly',
  )
}

/** Returns keys/, tile/, and the directories directly in tile/. */
async function sealedDirectories(dir: string): Promise<string[]> {
  const found: string[] = []
  for (const name of ['keys', 'tile']) if (await isThere(join(dir, name))) found.push(join(dir, name))
  const tile = join(dir, 'tile')
  if (!(await isThere(tile))) return found
  const inside = (await readdir(tile, { withFileTypes: true })).filter((entry) => entry.isDirectory())
  return [...found, ...inside.map(({ name }) => join(tile, name))]
}

function tailFinding(surveys: readonly [string, Survey][], required: boolean): Finding {
  const tails = surveys.reduce((all, [, one]) => all + one.tails, 0)
  const growing = surveys.reduce((all, [, one]) => all + one.growing, 0)
  const mutable = surveys.flatMap(([name, one]) => one.mutableTails.map((path) => name + path))
  if (tails === 0) return finding('tail-append-only', 'unknown', 'there is no tail file yet')
  const inForce = share(growing, tails)
  const protectedElsewhere = surveys.some(([, one]) => one.immutable > 0)
  return finding(
    'tail-append-only',
    inForce,
    `${growing} of ${tails} tail files${inForce === 'partly' ? `; not ${listed(mutable, tails - growing)}` : ''}`,
    inForce !== 'yes' && (required || protectedElsewhere),
  )
}

async function mediumFinding(dir: string): Promise<Finding> {
  const name = await fileSystemOf(dir)
  if (name === undefined)
    return finding('medium', 'unknown', 'this system does not report the kind of file system')
  if (IN_MEMORY.has(name))
    return finding('medium', 'no', `${name} is in memory: a power failure loses all data`)
  if (ON_NETWORK.has(name))
    return finding(
      'medium',
      'unknown',
      `${name}: another machine may also write, and its syncs are out of our control`,
    )
  return finding('medium', 'yes', `${name}; every commit is synced, if the disk obeys`)
}

async function keyFindings(root: string, moduleId: string, uid: number): Promise<Finding[]> {
  const secret = secretDir(root, moduleId)
  const findings: Finding[] = []
  for (const [check, path, most] of [
    ['key-directory', secret, 0o700],
    ['key', join(secret, LEDGER_KEY), 0o600],
    ['audit-key', join(secret, AUDIT_KEY), 0o600],
  ] as const) {
    const stats = await statOf(path)
    if (stats === undefined) {
      findings.push(finding(check, 'no', 'is not there', true))
      continue
    }
    const isPrivate = (stats.mode & 0o777 & ~most) === 0 && stats.uid === uid
    const owner = stats.uid === uid ? '' : `, and the ledger of uid ${uid}`
    findings.push(demanded(check, isPrivate, `mode ${octal(stats.mode)}, uid ${stats.uid}${owner}`))
  }
  return findings
}

export async function statOf(path: string): Promise<Stats | undefined> {
  try {
    return await stat(path)
  } catch (error) {
    if (codeOf(error) === 'ENOENT' || codeOf(error) === 'ENOTDIR') return undefined
    throw error
  }
}

async function isThere(path: string): Promise<boolean> {
  return (await statOf(path)) !== undefined
}
