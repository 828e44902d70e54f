/** Helpers for the tests of this package. */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { buildSync } from 'esbuild'

/** Creates a directory; `remove` deletes it. */
export function temporaryDirectory(): { path: string; remove: () => void } {
  const path = mkdtempSync(join(tmpdir(), 'storage-posix-'))
  return { path, remove: () => rmSync(path, { recursive: true, force: true }) }
}

/** Bundles a TypeScript module (imports relative to this folder) into `<dir>/script.mjs` for `node`; returns its path. */
export function bundleScript(dir: string, source: string): string {
  const outfile = join(dir, 'script.mjs')
  buildSync({
    stdin: { contents: source, resolveDir: import.meta.dirname, loader: 'ts' },
    outfile,
    bundle: true,
    platform: 'node',
    format: 'esm',
    logLevel: 'error',
  })
  return outfile
}

/** Reports whether a command is installed, by running it with `flag` (`--version` or `-V`). */
export function hasCommand(command: string, flag: string): boolean {
  try {
    execFileSync(command, [flag], { stdio: 'ignore' })
    return true
  } catch {
    return false
  }
}

/** Starts `node script`; `firstLine` resolves with the first line that it prints. */
export function startNode(
  script: string,
  args: readonly string[],
): { child: ChildProcess; firstLine: Promise<string> } {
  const child = spawn(process.execPath, [script, ...args], { stdio: ['ignore', 'pipe', 'inherit'] })
  const firstLine = new Promise<string>((resolve) => {
    let output = ''
    child.stdout.on('data', (data: Buffer) => {
      output += data.toString()
      if (output.includes('\n')) resolve(output.split('\n')[0] ?? '')
    })
    child.once('close', () => resolve(output))
  })
  return { child, firstLine }
}

export function bytesOf(text: string): Uint8Array {
  return new Uint8Array(Buffer.from(text))
}
