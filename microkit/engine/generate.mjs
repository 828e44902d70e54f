// Translates the engine, the QuickJS of the npm package @jitl/quickjs-wasmfile-release-sync, from WebAssembly to C. Finds its exports
// and imports in the package's loader, because their names are minified and differ between builds.
import { execFileSync, spawnSync } from 'node:child_process'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'

const PACKAGE = '@jitl/quickjs-wasmfile-release-sync'
/** The runtime (wasm-rt.h, runtime.c) fits the code of this version of wasm2c. */
export const VERSION = '1.0.32'

const require = createRequire(new URL('../../envelopes/sel4/engine-host/package.json', import.meta.url))

/**
 * The loader's names of the exports that do not begin with QTS_, and their names in C.
 *
 * @type {Record<string, string>}
 */
const EXPORTS = {
  _malloc: 'engine_malloc',
  _free: 'engine_release',
}

/**
 * Patterns that find each import in the loader, by the name of its function in imports.c. Other imports stop the machine if a
 * script reaches them.
 */
const IMPORTS = {
  assert_fail: /Assertion failed/,
  abort: /^\(\)=>\w+\(""\)$/,
  environ_get: /for\(\w+ of \w+\(\)\)\{var/,
  environ_sizes_get: /=\w+\(\);\w+\[\w+>>2\]=\w+\.length;/,
  fd_write: /\.decode\(/,
  resize_heap: /2147483648/,
  date_now: /^\(\)=>Date\.now\(\)$/,
  localtime: /getSeconds/,
  tzset: /^(?!.*getSeconds).*getTimezoneOffset/s,
  should_interrupt: /callbacks\.shouldInterrupt\(/,
  call_function: /callbacks\.callFunction\(/,
  free_host_ref: /callbacks\.freeHostRef\(/,
}

/**
 * Writes quickjs.c, quickjs.h and quickjs-map.h.
 *
 * @param {string} out the folder for them
 */
export function generate(out) {
  mkdirSync(out, { recursive: true })
  const { wasm, loader } = sources()
  const problems = wasm2cProblem()
  if (problems.length > 0) throw new Error(`missing: ${problems.join()}`)
  execFileSync('wasm2c', ['-n', 'quickjs', '-o', join(out, 'quickjs.c'), wasm])
  const header = readFileSync(join(out, 'quickjs.h'), 'utf8')
  writeFileSync(join(out, 'quickjs-map.h'), mapOf(readFileSync(loader, 'utf8'), header))
}

/** Returns the paths of the engine's WebAssembly and its loader. */
export function sources() {
  return {
    wasm: require.resolve(`${PACKAGE}/wasm`),
    loader: require.resolve(`${PACKAGE}/emscripten-module`),
  }
}

/** Returns the problem with this machine's wasm2c, if any, and how to install it. @returns {string[]} */
export function wasm2cProblem() {
  const { stdout, error } = spawnSync('wasm2c', ['--version'], { encoding: 'utf8' })
  const found = error === undefined ? stdout.trim() : ''
  return found === VERSION ? [] : [`wasm2c ${VERSION}${found && `, found ${found}`} (apt-get install wabt)`]
}

/**
 * @param {string} loader
 * @param {string} header quickjs.h
 */
function mapOf(loader, header) {
  const functions = functionsOf(header)
  const object = importObject(loader)
  const lines = [
    '/* Made by generate.mjs: the names of the functions of quickjs.c. */',
    '#include "wasm-rt.h"',
    '',
  ]
  lines.push(`#define Z_${object.module}_instance_t engine`, '#include "quickjs.h"', '')
  for (const [name, key] of exportKeys(loader)) lines.push(`#define ${name} ${functions.exports.get(key)}`)
  lines.push('')
  const imports = importNames(object, functions.imports)
  for (const [name, key] of imports) lines.push(`#define import_${name} ${functions.imports.get(key)?.name}`)
  const used = new Set(imports.values())
  lines.push('', '#define ABSENT_IMPORTS \\')
  for (const [key, prototype] of functions.imports)
    if (!used.has(key)) lines.push(`    ${absentImport(key, prototype)} \\`)
  return `${lines.join('\n').replace(/ \\$/, '')}\n`
}

/** @typedef {{ type: string, name: string, parameters: string[] }} Prototype */

/**
 * Returns the functions of quickjs.h by their names in the WebAssembly module.
 *
 * @param {string} header
 */
function functionsOf(header) {
  /** @type {Map<string, string>} */
  const exports = new Map()
  for (const [, key = '', name = ''] of header.matchAll(/\/\* export: '(.+)' \*\/\n\w+ (\w+)\(/g))
    exports.set(key, name)
  /** @type {Map<string, Prototype>} */
  const imports = new Map()
  const pattern = /\/\* import: '\w+' '(.+)' \*\/\n(\w+) (\w+)\(([^)]*)\);/g
  for (const [, key = '', type = '', name = '', list = ''] of header.matchAll(pattern))
    imports.set(key, { type, name, parameters: list.split(', ') })
  const memory = /\/\* import: '\w+' '(.+)' \*\/\n {2}wasm_rt_memory_t \*(\w+);/.exec(header)
  if (memory === null) throw new Error('quickjs.h: expected a memory among the imports, found none')
  imports.set(memory[1] ?? '', { type: 'memory', name: memory[2] ?? '', parameters: [] })
  return { exports, imports }
}

/**
 * Returns the C function for an unsupported import, which stops the machine.
 *
 * @param {string} key
 * @param {Prototype} prototype
 */
function absentImport(key, { type, name, parameters }) {
  const list = parameters.map((each, i) => `${each.replace(/^struct \w+\*$/, 'struct engine *')} p${i}`)
  const unused = parameters.map((_, i) => `(void)p${i};`).join(' ')
  return `${type} ${name}(${list.join(', ').replace('* ', '*')}) { ${unused} engine_stopped("engine: unsupported import ${key}"); }`
}

/**
 * Returns the keys of the exports by their names in C, from `c._QTS_Call=b.ma` and the like.
 *
 * @param {string} loader
 * @returns {Map<string, string>}
 */
function exportKeys(loader) {
  const found = new Map()
  for (const [, name = '', key] of loader.matchAll(/\b\w+\.(_\w+)=\s*\w+\.\s*([\w$]+)/g))
    if (name.startsWith('_QTS_') || name in EXPORTS) found.set(EXPORTS[name] ?? name.slice(1), key)
  const start = /\.calledRun=!0;if\(!\w+\)\{\w+=!0;\w+\.([\w$]+)\(\)/.exec(loader)
  if (start === null) throw new Error(`${PACKAGE}: the loader's call of the constructors was not found`)
  found.set('engine_constructors', start[1])
  for (const name of Object.values(EXPORTS))
    if (!found.has(name)) throw new Error(`${PACKAGE}: no export for ${name} was found in the loader`)
  return found
}

/**
 * Finds the object that the loader passes to WebAssembly. Returns the texts of its members by their names, and the names of the
 * module and of the variable with the memory.
 *
 * @param {string} loader
 */
function importObject(loader) {
  const [found, module = '', variable = ''] = /\{(\w+):(\w+)\};if\(\w+\.instantiateWasm\)/.exec(loader) ?? []
  const [, memory] = /\.wasmMemory\?(\w+)=/.exec(loader) ?? []
  const at = loader.search(new RegExp(`[ ,;]${variable}=\\{`))
  if (found === undefined || memory === undefined || at < 0)
    throw new Error(`${PACKAGE}: the imports were not found in the loader`)
  /** @type {Map<string, string>} */
  const members = new Map()
  for (const member of splitObject(loader.slice(loader.indexOf('{', at)))) {
    const colon = member.indexOf(':')
    members.set(member.slice(0, colon), member.slice(colon + 1))
  }
  return { module, members, memory }
}

/**
 * Returns the members of an object literal.
 *
 * @param {string} text begins with the literal
 */
function splitObject(text) {
  const members = []
  let depth = 0
  let start = 1
  for (let i = 0; i < text.length; i++) {
    const c = text[i] ?? ''
    if (c === '"' || c === "'" || c === '`') {
      for (i++; text[i] !== c; i++) if (text[i] === '\\') i++
    } else if ('([{'.includes(c)) {
      depth++
    } else if (')]}'.includes(c)) {
      if (--depth === 0) return [...members, text.slice(start, i)]
    } else if (c === ',' && depth === 1) {
      members.push(text.slice(start, i))
      start = i + 1
    }
  }
  throw new Error(`${PACKAGE}: the imports have no end`)
}

/**
 * Returns the keys of the imports by their names in imports.c. Each must match exactly once.
 *
 * @param {{ members: Map<string, string>, memory: string }} object
 * @param {Map<string, Prototype>} wanted
 * @returns {Map<string, string>}
 */
function importNames({ members, memory }, wanted) {
  if (wanted.size !== members.size || ![...wanted.keys()].every((key) => members.has(key)))
    throw new Error(`${PACKAGE}: the imports of the loader are not those of the WebAssembly module`)
  const found = new Map()
  const patterns = { ...IMPORTS, memory: new RegExp(`^${memory}$`) }
  for (const [name, pattern] of Object.entries(patterns)) {
    const keys = [...members].filter(([, text]) => pattern.test(text)).map(([key]) => key)
    if (keys.length !== 1) throw new Error(`${PACKAGE}: ${name}: expected one import, found ${keys.length}`)
    found.set(name, keys[0])
  }
  return found
}
