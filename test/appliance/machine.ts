// Shared by the appliance's tests: whether it can be built and booted here, images, disks.
import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { build, findSdks, missing } from '../../microkit/build.mjs'
import { Appliance, hasQemu, type Machine } from '../../qemu/run.mjs'

const lacking = [...missing('gcc'), ...missing('clang'), ...(hasQemu() ? [] : ['qemu-system-aarch64'])]
export const runs = lacking.length === 0
/** A suffix for a suite's name: the required tools, and the reason when the suite is skipped. */
export const needs = runs
  ? 'in QEMU'
  : `in QEMU (skipped here for want of ${[...new Set(lacking)].join(', ')})`

/** Every SDK in both configurations, with alternating compilers. A placeholder without an SDK, whose tests are skipped. */
const sdks = findSdks()
const none = { path: '', version: '(none)' }
export const variants = (sdks.length > 0 ? sdks : [none]).flatMap(({ path, version }, index) =>
  ['debug', 'release'].map((config, other) => ({
    sdk: path,
    version,
    config,
    compiler: (index + other) % 2 === 0 ? 'clang' : 'gcc',
  })),
)

/** Builds the image of one of the tenant lists beside this file. */
export function image(
  name: string,
  options: { sdk?: string; config?: string; compiler?: string } = {},
): string {
  return build({ totebox: join(import.meta.dirname, `${name}.json`), name, ...options }).image
}

/** The machines and disks of one test; all are removed after it. */
export class Bench {
  readonly folder: string = mkdtempSync(join(tmpdir(), 'service-fs-appliance-'))
  readonly #booted: Appliance[] = []

  disk(bytes = 64 * 1024 * 1024): string {
    const file = join(this.folder, `${Math.random()}.img`)
    writeFileSync(file, '')
    truncateSync(file, bytes)
    return file
  }

  boot(machine: Machine): Appliance {
    const appliance = new Appliance(machine)
    this.#booted.push(appliance)
    return appliance
  }

  async end(): Promise<void> {
    await Promise.all(this.#booted.map((appliance) => appliance.kill()))
    rmSync(this.folder, { recursive: true })
  }
}

/** The members of a disk's tar archive, in order, without PSDB's own. */
export function members(disk: string): string[] {
  const listing = execFileSync('tar', ['-tf', disk], { encoding: 'utf8' })
  return listing.split('\n').filter((name) => name !== '' && !name.startsWith('.psdb/'))
}

/** Returns the newest member of that name. */
export function member(disk: string, name: string): Buffer {
  const folder = mkdtempSync(join(tmpdir(), 'service-fs-member-'))
  try {
    execFileSync('tar', ['-xf', disk, '-C', folder, name])
    return execFileSync('cat', [join(folder, name)], { maxBuffer: 1 << 28 })
  } finally {
    rmSync(folder, { recursive: true })
  }
}

/** Makes the same bytes from a seed as pd/client.h. */
export function seeded(seed: number, length: number): Buffer {
  const bytes = Buffer.alloc(length)
  for (let at = 0; at < length; at++) {
    bytes[at] = at % 64 === 63 ? 10 : 97 + ((seed * 7 + at * 11 + Math.floor(at / 64)) % 26)
  }
  return bytes
}
