// Exports by the ordinary client, and their contents.

import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect } from 'vitest'
import { serviceFsCommand } from '../support/daemon.ts'
import { MODULE_ID } from './core.ts'

/** Paths and bytes of the export of a URL, a directory or a disk image; `out`: the directory to make. */
export async function exportOf(place: string, out: string): Promise<Map<string, Buffer>> {
  const done = await serviceFsCommand(['export', place, '--module-id', MODULE_ID, '--out', out], {
    timeoutMs: 600_000,
  })
  expect([done.code, done.stderr]).toEqual([0, ''])
  const files = new Map<string, Buffer>()
  for (const entry of await readdir(out, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue
    const path = join(entry.parentPath, entry.name)
    files.set(path.slice(out.length + 1), await readFile(path))
  }
  return files
}

export function expectSame(a: ReadonlyMap<string, Buffer>, b: ReadonlyMap<string, Buffer>): void {
  expect([...b.keys()].sort()).toEqual([...a.keys()].sort())
  for (const [path, bytes] of a) expect(b.get(path)?.equals(bytes), path).toBe(true)
}
