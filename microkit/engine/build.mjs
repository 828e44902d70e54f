// Compiles the engine: `node microkit/engine/build.mjs OBJECT COMPILER [FLAG…]` writes OBJECT. That takes a minute, so
// microkit/build/engine caches the objects by a hash of their inputs. `node microkit/engine/build.mjs --sources` prints the folder
// of the translated sources.
import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { copyFileSync, existsSync, mkdirSync, readFileSync, renameSync, rmSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { generate, sources, VERSION } from './generate.mjs'

const HERE = fileURLToPath(new URL('.', import.meta.url))
const CACHE = join(HERE, '../build/engine')
/** The flags for the translated code, on every machine. The code would cause many warnings. */
const FLAGS = ['-std=gnu11', '-w', '-O2', '-fno-math-errno', '-fno-strict-aliasing']

/** Returns the folder of quickjs.c and its headers. Generates them first if the folder does not exist. */
export function engineSources() {
  const { wasm, loader } = sources()
  const parts = [wasm, loader, join(HERE, 'generate.mjs')].map((path) => readFileSync(path))
  const folder = join(CACHE, `c-${hashOf([VERSION, ...parts])}`)
  if (existsSync(folder)) return folder
  const part = `${folder}.${process.pid}`
  generate(part)
  put(part, folder)
  return folder
}

/**
 * Compiles the engine, or finds it in the cache.
 *
 * @param {string[]} compiler a program and its arguments
 * @returns {string} the object; quickjs-map.h, for the other files, is in engineSources()
 */
export function engineObject(compiler) {
  const folder = engineSources()
  const [program = '', ...flags] = compiler
  const version = execFileSync(program, ['--version'], { encoding: 'utf8' })
  const files = [join(folder, 'quickjs.c'), join(folder, 'quickjs.h'), join(HERE, 'wasm-rt.h')]
  const key = hashOf([version, ...FLAGS, ...compiler, ...files.map((path) => readFileSync(path))])
  const object = join(CACHE, `${key}.o`)
  if (existsSync(object)) return object
  const part = `${object}.${process.pid}`
  const source = join(folder, 'quickjs.c')
  execFileSync(program, [...flags, ...FLAGS, `-I${HERE}`, '-c', '-o', part, source], { stdio: 'inherit' })
  put(part, object)
  return object
}

/**
 * Renames a complete file. If another process was faster, its result is the same.
 *
 * @param {string} part
 * @param {string} name
 */
function put(part, name) {
  try {
    renameSync(part, name)
  } catch (error) {
    rmSync(part, { recursive: true, force: true })
    if (!existsSync(name)) throw error
  }
}

/** @param {(string | Uint8Array)[]} parts */
function hashOf(parts) {
  const hash = createHash('sha256')
  for (const part of parts) hash.update(`${part.length} `).update(part)
  return hash.digest('hex').slice(0, 32)
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const [object, ...compiler] = process.argv.slice(2)
  if (object === '--sources') {
    console.log(engineSources())
  } else if (object !== undefined && compiler.length > 0) {
    mkdirSync(dirname(object), { recursive: true })
    copyFileSync(engineObject(compiler), object)
  } else {
    console.error('usage: node microkit/engine/build.mjs OBJECT COMPILER [FLAG…] | --sources')
    process.exit(2)
  }
}
