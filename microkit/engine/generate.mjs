// Translates the engine, QuickJS as the npm package @jitl/quickjs-wasmfile-release-sync has it in WebAssembly, to C, and works out
// what its exports and imports are: the package's names for them are minified and differ from build to build.
import { execFileSync } from 'node:child_process'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'

const PACKAGE = '@jitl/quickjs-wasmfile-release-sync'
/** The runtime (wasm-rt.h, runtime.c) is made for the code of this version. */
export const VERSION = '1.0.32'

const require = createRequire(new URL('../../envelopes/sel4/package.json', import.meta.url))

/** What of the engine's exports is used: functions of the module object that the package's loader fills in. */
const EXPORTS = {
  _malloc: 'engine_malloc',
  _free: 'engine_release',
}

/** How an import is recognised in the loader, and which function of imports.c it is. What is in none of them stops the machine. */
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

/** Writes quickjs.c, quickjs.h and quickjs-map.h to `out`. */
export function generate(out) {
  mkdirSync(out, { recursive: true })
  const { wasm, loader } = sources()
  checkWasm2c()
  const source = join(out, 'quickjs.c')
  execFileSync('wasm2c', ['-n', 'quickjs', '-o', source, wasm])
  const header = readFileSync(join(out, 'quickjs.h'), 'utf8')
  const map = mapOf(readFileSync(loader, 'utf8'), readFileSync(wasm), header)
  writeFileSync(join(out, 'quickjs-map.h'), map)
}

/** The files that all depends on. */
export function sources() {
  return {
    wasm: require.resolve(`${PACKAGE}/wasm`),
    loader: require.resolve(`${PACKAGE}/emscripten-module`),
  }
}

/** @throws {Error} wasm2c is not there, or of another version. */
function checkWasm2c() {
  let found
  try {
    found = execFileSync('wasm2c', ['--version'], { encoding: 'utf8' }).trim()
  } catch {
    throw new Error(`wasm2c: not found; expected version ${VERSION} (Debian's package wabt)`)
  }
  if (found !== VERSION) throw new Error(`wasm2c: expected version ${VERSION}, found ${found}`)
}

function mapOf(loader, wasm, header) {
  const names = functionNames(header)
  const lines = [
    '/* Made by generate.mjs: what the functions of quickjs.c are. */',
    '#include "wasm-rt.h"',
    '',
  ]
  const object = importObject(loader)
  lines.push(`#define Z_${object.module}_instance_t engine`, '#include "quickjs.h"', '')
  for (const [name, key] of exportKeys(loader)) lines.push(`#define ${name} ${names.exports.get(key)}`)
  lines.push('')
  const imports = importNames(object, wasm)
  for (const [name, key] of imports) lines.push(`#define import_${name} ${names.imports.get(key)}`)
  const used = new Set(imports.values())
  const absent = [...names.prototypes].filter(([key]) => !used.has(key))
  lines.push('', '#define ABSENT_IMPORTS \\')
  for (const [key, prototype] of absent) lines.push(`    ${absentImport(key, prototype)} \\`)
  return `${lines.join('\n').replace(/ \\$/, '')}\n`
}

/** The functions of quickjs.h by the names of the WebAssembly module. */
function functionNames(header) {
  const exports = new Map()
  const imports = new Map()
  const prototypes = new Map()
  for (const [, key, name] of header.matchAll(/\/\* export: '(.+)' \*\/\n\w+ (\w+)\(/g))
    exports.set(key, name)
  for (const [, key, type, name, list] of header.matchAll(
    /\/\* import: '\w+' '(.+)' \*\/\n(\w+) (\w+)\(([^)]*)\);/g,
  )) {
    imports.set(key, name)
    prototypes.set(key, { type, name, list: list.split(', ') })
  }
  const [, memory] = /(\w+)\(struct \w+\*\);/.exec(header)
  imports.set('memory', memory)
  return { exports, imports, prototypes }
}

/** The C function for an import that is not there: it says so and stops. */
function absentImport(key, { type, name, list }) {
  const parameters = list.map((each, i) =>
    `${each.replace(/^struct \w+\*$/, 'struct engine *')} p${i}`.replace('* ', '*'),
  )
  const unused = list.map((_, i) => `(void)p${i};`).join(' ')
  return `${type} ${name}(${parameters.join(', ')}) { ${unused} engine_stopped("engine: import ${key} is not there"); }`
}

/** `c._QTS_Call=b.ma` and the like: [name in C, name of the export]. */
function exportKeys(loader) {
  const found = new Map()
  for (const [, name, key] of loader.matchAll(/\b\w+\.(_\w+)=\s*\w+\.\s*([\w$]+)/g))
    if (name.startsWith('_QTS_') || name in EXPORTS) found.set(EXPORTS[name] ?? name.slice(1), key)
  const start = /\.calledRun=!0;if\(!\w+\)\{\w+=!0;\w+\.([\w$]+)\(\)/.exec(loader)
  if (start === null) throw new Error(`${PACKAGE}: the loader's call of the constructors was not found`)
  found.set('engine_constructors', start[1])
  for (const name of Object.values(EXPORTS))
    if (!found.has(name)) throw new Error(`${PACKAGE}: no export for ${name} was found in the loader`)
  return found
}

/** The object that is handed to WebAssembly: its members' texts by their names. */
function importObject(loader) {
  const found = /\{(\w+):(\w+)\};if\(\w+\.instantiateWasm\)/.exec(loader)
  if (found === null) throw new Error(`${PACKAGE}: the imports were not found in the loader`)
  const [, module, variable] = found
  const at = loader.search(new RegExp(`[ ,;]${variable}=\\{`))
  const members = new Map()
  for (const member of splitObject(loader.slice(loader.indexOf('{', at)))) {
    const colon = member.indexOf(':')
    members.set(member.slice(0, colon), member.slice(colon + 1))
  }
  const [, memory] = /\.wasmMemory\?(\w+)=/.exec(loader) ?? []
  return { module, members, memory }
}

/** The members of an object literal that `text` begins with. */
function splitObject(text) {
  const members = []
  let depth = 0
  let start = 1
  for (let i = 0; i < text.length; i++) {
    const c = text[i]
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

/** [name in imports.c, name of the import], each found exactly once. */
function importNames({ module, members, memory }, wasm) {
  const wanted = WebAssembly.Module.imports(new WebAssembly.Module(wasm))
  const found = new Map([['memory', 'memory']])
  const described = ({ module: of, name }) => of === module && members.has(name)
  if (wanted.length !== members.size || !wanted.every(described))
    throw new Error(`${PACKAGE}: the imports of the loader are not those of the WebAssembly module`)
  if (![...members.values()].includes(memory)) throw new Error(`${PACKAGE}: the memory was not found`)
  for (const [name, pattern] of Object.entries(IMPORTS)) {
    const keys = [...members].filter(([, text]) => pattern.test(text)).map(([key]) => key)
    if (keys.length !== 1) throw new Error(`${PACKAGE}: ${name}: expected one import, found ${keys.length}`)
    found.set(name, keys[0])
  }
  return found
}
