// Compiles assembly/ to WebAssembly and writes it as src/kernel/module.generated.ts: node build.mjs. Text can be imported in every
// environment, without reading a file.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import asc from 'assemblyscript/asc'

const out = join(import.meta.dirname, 'src/kernel/module.generated.ts')
const directory = mkdtempSync(join(tmpdir(), 'kernel-'))
try {
  const wasm = join(directory, 'kernel.wasm')
  // 16 pages of memory: 1 MiB, laid out by src/kernel/wasm.ts.
  const options = ['--runtime', 'stub', '--noAssert', '--enable', 'simd', '--initialMemory', '16', '-O3']
  const source = join(import.meta.dirname, 'assembly/index.ts')
  const { error } = await asc.main([source, '--outFile', wasm, ...options], { stderr: process.stderr })
  if (error !== null) throw error
  const text = readFileSync(wasm).toString('base64')
  writeFileSync(
    out,
    `/** The WebAssembly module of assembly/, in base64. */\nexport const MODULE: string =\n  '${text}'\n`,
  )
} finally {
  rmSync(directory, { recursive: true, force: true })
}
