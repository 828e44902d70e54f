// Builds an appliance's image: C sources → one ELF for each protection domain → the Microkit tool → loader.img. The build fails
// if the capability audit (audit.mjs) of its result does.
//   node microkit/build.mjs [--totebox FILE] [--config release|debug] [--compiler gcc|clang] [--sdk DIR] [--name NAME]
// The SDK is MICROKIT_SDK, or the newest microkit-sdk-* in the user's data directory.
import { spawnSync } from 'node:child_process'
import {
  closeSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { homedir } from 'node:os'
import { basename, dirname, join, relative, resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { wasm2cProblem } from './engine/generate.mjs'
import { engineObject, engineSources } from './engine/build.mjs'
import { auditBuild, sentences, SPECIFICATION } from './audit.mjs'
import { generate } from './generate.mjs'

const here = import.meta.dirname
export const buildRoot = join(here, 'build')
const BOARD = 'qemu_virt_aarch64'
/** The crates whose C sources are compiled: crates/Cargo.toml. */
const CRATES = ['lwip', 'mbedtls-sys-auto', 'monocypher-sys']

const WARNINGS = '-Wall -Wextra -Werror -Wpedantic -Wshadow -Wconversion'
const MACHINE =
  '-ffreestanding -nostdlib -fno-pic -fno-pie -fno-common -fno-stack-protector -fno-unwind-tables -fno-asynchronous-unwind-tables'
const COMMON = `-std=gnu11 -O2 -g ${MACHINE} -MMD -MP`
const STRICT = '-mstrict-align'

/**
 * @typedef {{ command: string, link: string, flags: string, packages: string }} Compiler
 * @type {Record<string, () => Compiler>}
 */
const compilers = {
  gcc: () => ({
    command: 'aarch64-linux-gnu-gcc',
    link: 'aarch64-linux-gnu-ld',
    // Debian's compiler comes with a C library's headers. A protection domain may use only the compiler's own headers.
    flags: `-mno-outline-atomics -nostdinc -isystem ${gccHeaders()}`,
    packages: 'gcc-aarch64-linux-gnu',
  }),
  clang: () => ({
    command: 'clang',
    link: 'ld.lld',
    flags: '--target=aarch64-none-elf -nostdlibinc',
    packages: 'clang lld',
  }),
}

function gccHeaders() {
  const found = spawnSync('aarch64-linux-gnu-gcc', ['-print-file-name=include'], { encoding: 'utf8' })
  return found.status === 0 ? found.stdout.trim() : '/nonexistent'
}

const LWIP = `${buildRoot}/crates/lwip/src/include`
const MBEDTLS = `${buildRoot}/crates/mbedtls-sys-auto/vendor`
const MONOCYPHER = `${buildRoot}/crates/monocypher-sys/Monocypher/src`
const BUNDLE = join(here, '../envelopes/sel4/bundle/dist/bundle.js')
const BUNDLE_SOURCE = 'ledger/bundle.S'
/** A script of a test has a shorter time limit than the bundle. */
const SOONER = ' -DSERVICE_CALL_MS=6000'
/** Not a file in this folder, but the engine's translated code. */
const QUICKJS = 'engine/quickjs.c'
/** Nothing is mapped after the engine's memory: REACH in generate.mjs. */
const GUARDED = '-DENGINE_GUARDED'
const MBEDTLS_CONFIG = `-DMBEDTLS_CONFIG_FILE='"sha256/config.h"'`

/**
 * The sources that need other flags, selected by the beginning of their names. `flags`: additional flags; `warnings`: false for
 * third-party sources; `strict`: false if the code may access unaligned memory.
 *
 * @type {{ begins: string, flags: string, warnings?: false, strict?: false }[]}
 */
const SPECIAL = [
  {
    begins: 'crates/mbedtls-sys-auto/',
    flags: `-I${MBEDTLS}/library -I${MBEDTLS}/include ${MBEDTLS_CONFIG}`,
    warnings: false,
  },
  { begins: 'sha256/sha256.c', flags: `-isystem ${MBEDTLS}/include ${MBEDTLS_CONFIG}` },
  { begins: 'crates/monocypher-sys/', flags: `-I${MONOCYPHER}`, warnings: false },
  { begins: BUNDLE_SOURCE, flags: `-DBUNDLE='"$(SCRIPT)"'` },
  { begins: 'engine/', flags: `-I$(QUICKJS) -I${here}/engine ${GUARDED}`, strict: false },
  { begins: 'crates/lwip/', flags: `-I${LWIP} -I${here}/net/lwip`, warnings: false, strict: false },
  { begins: 'net/checksum.c', flags: '', strict: false },
  { begins: 'net/', flags: `-isystem ${LWIP} -isystem ${here}/net/lwip` },
  { begins: 'lib/memory.c', flags: '-fno-builtin $(NO_LOOPS)', strict: false },
]

/** @param {string} command */
const has = (command) => spawnSync('sh', ['-c', `command -v ${command}`]).status === 0

/**
 * Returns the SDKs on this machine, the preferred one first: only MICROKIT_SDK, or all installed ones, the newest first.
 *
 * @returns {{ path: string, version: string }[]}
 */
export function findSdks() {
  const given = process.env['MICROKIT_SDK']
  const data = process.env['XDG_DATA_HOME'] ?? join(homedir(), '.local', 'share')
  const paths =
    given !== undefined
      ? [resolve(given)]
      : existsSync(data)
        ? readdirSync(data).flatMap((name) => (name.startsWith('microkit-sdk-') ? [join(data, name)] : []))
        : []
  return paths
    .filter((path) => existsSync(join(path, 'bin', 'microkit')))
    .map((path) => ({ path, version: readFileSync(join(path, 'VERSION'), 'utf8').trim() }))
    .sort((a, b) => b.version.localeCompare(a.version, 'en', { numeric: true }))
}

/** Returns what this machine lacks to build an image, and how to install it. @returns {string[]} */
export function missing(compiler = 'gcc') {
  const made = compilers[compiler]?.()
  if (made === undefined) throw new Error(`no compiler ${compiler}: ${Object.keys(compilers).join(', ')}`)
  return [
    ...(findSdks().length > 0 ? [] : ['the Microkit SDK (qemu/get-sdk, or MICROKIT_SDK with its folder)']),
    ...(has(made.command) && has(made.link) ? [] : [`${made.command} (apt-get install ${made.packages})`]),
    ...(has('make') ? [] : ['make (apt-get install make)']),
    ...(has('flock') ? [] : ['flock (apt-get install util-linux)']),
    ...(has('cargo') ? [] : ['cargo (apt-get install cargo)']),
    ...wasm2cProblem(),
    ...(existsSync(BUNDLE) ? [] : ['envelopes/sel4/bundle/dist/bundle.js (npm run build)']),
  ]
}

/**
 * @param {string} command
 * @param {string[]} args
 * @param {string} [cwd]
 */
function run(command, args, cwd = here) {
  const done = spawnSync(command, args, { cwd, encoding: 'utf8', maxBuffer: 1 << 28 })
  if (done.error !== undefined) throw new Error(`${command}: ${done.error.message}`)
  if (done.status !== 0) throw new Error(`${command} ${args.join(' ')}\n${done.stdout}${done.stderr}`)
}

/** @param {string} path @param {string} text */
function writeIfNew(path, text) {
  if (!existsSync(path) || readFileSync(path, 'utf8') !== text) writeFileSync(path, text)
}

/** Downloads the crates' sources into the build folder, once for each Cargo.lock. */
export function vendor() {
  const lock = readFileSync(join(here, 'crates', 'Cargo.lock'), 'utf8')
  const to = join(buildRoot, 'crates')
  const stamp = join(to, 'Cargo.lock')
  if (existsSync(stamp) && readFileSync(stamp, 'utf8') === lock) return
  mkdirSync(buildRoot, { recursive: true })
  // Use a temporary folder, because another process may do the same now.
  const work = mkdtempSync(join(buildRoot, 'vendor-'))
  run('cargo', ['vendor', '--quiet', '--locked', join(work, 'all')], join(here, 'crates'))
  mkdirSync(join(work, 'crates'))
  for (const name of CRATES) renameSync(join(work, 'all', name), join(work, 'crates', name))
  writeFileSync(join(work, 'crates', 'Cargo.lock'), lock)
  const isThere = () => existsSync(stamp) && readFileSync(stamp, 'utf8') === lock
  if (!isThere()) {
    if (existsSync(to)) renameSync(to, join(work, 'old'))
    try {
      renameSync(join(work, 'crates'), to)
    } catch (error) {
      if (!isThere()) throw error
    }
  }
  rmSync(work, { recursive: true })
}

/** @param {string} source a name of generate.mjs @param {string} base the folder of the list of tenants */
function place(source, base) {
  if (source.startsWith('crates/')) return join(buildRoot, source)
  return source.startsWith('./') ? join(base, source) : join(here, source)
}

/** Selects the domain in config.h. @param {string} name */
const domainMacro = (name) => `-DDOMAIN_${name.toUpperCase().replaceAll(/[^A-Z0-9]/g, '_')}`

/** @param {string} board the SDK's folder of the board */
const includeFlags = (board) =>
  `-isystem ${here}/lib/include -isystem ${MONOCYPHER} -isystem ${MONOCYPHER}/optional -I${here} -Iinclude -isystem ${board}/include`

/**
 * Returns the flags with which clang parses the sources of the appliances' domains. If several appliances have a source, it gets the flags
 * of the first one. Writes the config.h of each appliance below `out`.
 *
 * @param {string} out
 * @param {string[]} lists the files that describe the appliances
 * @returns {Map<string, string[]>} by path, relative to this folder
 */
export function parseFlags(out, lists) {
  const sdk = /** @type {{ path: string }} */ (findSdks()[0]).path
  vendor()
  const common = `--target=aarch64-none-elf -nostdlibinc -std=gnu11 ${includeFlags(join(sdk, 'board', BOARD, 'release'))}`
  /** @type {Map<string, string[]>} */
  const flags = new Map()
  for (const list of lists) {
    const { description, header } = generate(JSON.parse(readFileSync(list, 'utf8')))
    const include = join(out, 'include', basename(list, '.json'))
    mkdirSync(include, { recursive: true })
    writeIfNew(join(include, 'config.h'), header)
    for (const { name, sources } of description.domains.values()) {
      for (const source of sources) {
        if (source.startsWith('crates/') || !source.endsWith('.c') || source === QUICKJS) continue
        const path = relative(here, place(source, dirname(list)))
        const special = SPECIAL.find(({ begins }) => source.startsWith(begins))
        const text = `${common} ${domainMacro(name)} ${special?.flags ?? ''}`
          .replaceAll('-Iinclude', `-I${include}`)
          .replaceAll('$(NO_LOOPS)', '')
          .replaceAll('$(QUICKJS)', source.startsWith('engine/') ? engineSources() : '')
          .replaceAll("'", '')
        if (!flags.has(path)) flags.set(path, text.split(/\s+/))
      }
    }
  }
  return flags
}

/** Returns the flags with which a source finds the crates' headers; see {@link vendor}. @returns {string[]} */
export function crateFlags() {
  const folders = [`${MBEDTLS}/include`, MONOCYPHER, `${MONOCYPHER}/optional`]
  return [...folders.flatMap((folder) => ['-isystem', folder]), MBEDTLS_CONFIG.replaceAll("'", '')]
}

/** Returns the flags with which a source that is built for a host finds lwIP's headers. @returns {string[]} */
export function networkFlags() {
  // -idirafter: the replacements for a C library come after the host's headers.
  return ['-isystem', LWIP, '-idirafter', join(here, 'net/lwip')]
}

/** Compiles the engine's translated code, and returns the object. @param {Compiler} compiler */
function quickjs({ command, flags }) {
  const headers = ['lib/include', 'engine/freestanding'].flatMap((path) => ['-isystem', join(here, path)])
  return engineObject([command, ...MACHINE.split(' '), ...flags.split(' '), ...headers, GUARDED])
}

/**
 * @param {{ description: import('./description.mjs').Description, compiler: Compiler, board: string, base: string }} what
 */
function makefile({ description, compiler, board, base }) {
  const flags = `${COMMON} ${compiler.flags} ${includeFlags(board)}`
  const lines = [`CC = ${compiler.command}`, `LD = ${compiler.link}`, `FLAGS = ${flags}`, '']
  const domains = [...description.domains.values()]
  if (domains.some(({ sources }) => sources.includes(QUICKJS))) lines.push(`QUICKJS = ${engineSources()}`, '')
  lines.push(`all: ${domains.map(({ name }) => `${name}.elf`).join(' ')}`, '')
  for (const { name, sources, restartable, script } of domains) {
    /** @type {string[]} */
    const objects = []
    for (const source of sources) {
      if (source === QUICKJS) {
        objects.push(quickjs(compiler))
        continue
      }
      const object = `${name}/${source
        .replace('./', '')
        .replaceAll('/', '_')
        .replace(/\.[cS]$/, '.o')}`
      const special = SPECIAL.find(({ begins }) => source.startsWith(begins))
      const how = `${special?.warnings === false ? '-w' : WARNINGS} ${special?.strict === false ? '' : STRICT}`
      const define = `${domainMacro(name)}${script === undefined ? '' : SOONER}`
      objects.push(object)
      /** @type {string[]} */
      const more = []
      if (source === BUNDLE_SOURCE) {
        more.push(script === undefined ? BUNDLE : place(script, base))
        lines.push(`${object}: SCRIPT = ${more[0]}`)
      }
      lines.push(
        `${object}: ${[place(source, base), ...more].join(' ')} Makefile`,
        `\t$(CC) $(FLAGS) ${how} ${define} ${special?.flags ?? ''} -c $< -o $@`,
      )
    }
    const entry = restartable ? `-e domain_start ${here}/lib/restart.ld` : ''
    lines.push(
      `${name}.elf: ${objects.join(' ')} Makefile`,
      `\t$(LD) -L${board}/lib ${objects.join(' ')} ${entry} -lmicrokit -Tmicrokit.ld -o $@`,
      `-include ${objects.map((object) => object.replace(/\.o$/, '.d')).join(' ')}`,
      '',
    )
  }
  const noLoops = compiler.command === 'clang' ? '' : '-fno-tree-loop-distribute-patterns'
  return `NO_LOOPS = ${noLoops}\n${lines.join('\n')}\n`
}

/**
 * Runs Microkit's tool. It writes the image, a report, and also the image's specification if this version of the tool supports that.
 *
 * @param {string} sdk
 * @param {{ out: string, image: string, report: string, config: string }} what
 */
export function runTool(sdk, { out, image, report, config }) {
  const tool = join(sdk, 'bin', 'microkit')
  const help = spawnSync(tool, ['--help'], { encoding: 'utf8' }).stdout
  const more = help.includes('--capdl-json') ? ['--capdl-json', join(out, SPECIFICATION)] : []
  const files = ['system.xml', '--search-path', out, '-o', image, '-r', report, ...more]
  run(tool, [...files, '--board', BOARD, '--config', config], out)
}

/**
 * @param {{ totebox?: string, config?: string, compiler?: string, sdk?: string, name?: string }} options `totebox`: the
 *   file with the list of tenants; `config`: release or debug
 * @returns {{ image: string, report: string, xml: string }} paths
 */
export function build(options = {}) {
  const {
    totebox = join(here, 'totebox.json'),
    config = 'release',
    compiler = 'gcc',
    name = 'totebox',
  } = options
  const lacking = missing(compiler)
  if (lacking.length > 0) throw new Error(`missing: ${lacking.join('; ')}`)
  const made = compilers[compiler]?.()
  if (made === undefined) throw new Error(`no compiler ${compiler}`)
  const sdk = options.sdk ?? /** @type {{ path: string }} */ (findSdks()[0]).path
  const board = join(sdk, 'board', BOARD, config)
  if (!existsSync(board)) throw new Error(`${sdk} has no ${BOARD}/${config}`)
  vendor()
  const version = readFileSync(join(sdk, 'VERSION'), 'utf8').trim()
  const out = join(buildRoot, `${name}-${version}-${config}-${compiler}`)
  mkdirSync(out, { recursive: true })
  const lock = lockFolder(out)
  try {
    return buildIn(out, { totebox, made, board, sdk, config })
  } finally {
    closeSync(lock)
  }
}

/**
 * Waits until no other process builds in the folder: two builds at a time would write the same objects.
 *
 * @param {string} out
 * @returns {number} a file descriptor that holds the lock until it is closed
 */
function lockFolder(out) {
  const lock = openSync(join(out, 'lock'), 'w')
  // flock(1) locks the open file description, which this process shares; see decision 0004.
  const { error, status } = spawnSync('flock', ['3'], { stdio: ['ignore', 'ignore', 'inherit', lock] })
  if (error === undefined && status === 0) return lock
  closeSync(lock)
  throw new Error(`flock: ${error?.message ?? `exit status ${status}`}`)
}

/**
 * @param {string} out the folder of the results
 * @param {{ totebox: string, made: Compiler, board: string, sdk: string, config: string }} options
 * @returns {{ image: string, report: string, xml: string }} paths
 */
function buildIn(out, { totebox, made, board, sdk, config }) {
  const { description, xml, header } = generate(JSON.parse(readFileSync(totebox, 'utf8')))
  mkdirSync(join(out, 'include'), { recursive: true })
  for (const domain of description.domains.keys()) mkdirSync(join(out, domain), { recursive: true })
  writeIfNew(join(out, 'include', 'config.h'), header)
  writeIfNew(join(out, 'system.xml'), xml)
  writeIfNew(
    join(out, 'Makefile'),
    makefile({ description, compiler: made, board, base: dirname(resolve(totebox)) }),
  )
  run('make', ['--silent', '-j2', 'all'], out)
  const image = join(out, 'loader.img')
  const report = join(out, 'report.txt')
  const unaudited = join(out, 'unaudited.img')
  runTool(sdk, { out, image: unaudited, report, config })
  const { findings } = auditBuild(out)
  if (findings.length > 0) {
    rmSync(image, { force: true })
    throw new Error(`${out}: the capability audit\n${sentences(findings).join('\n')}`)
  }
  renameSync(unaudited, image)
  return { image, report, xml: join(out, 'system.xml') }
}

if (process.argv[1] === import.meta.filename) {
  const { values } = parseArgs({
    options: {
      totebox: { type: 'string' },
      config: { type: 'string' },
      compiler: { type: 'string' },
      sdk: { type: 'string' },
      name: { type: 'string' },
    },
  })
  try {
    console.log(build(values).image)
  } catch (error) {
    console.error(error instanceof Error ? error.message : error)
    process.exitCode = 1
  }
}
