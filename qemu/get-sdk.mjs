// Downloads the Microkit SDK, which builds the appliance, from the project's release page to the user's data directory, where
// microkit/build.mjs finds it.
//   qemu/get-sdk [--sha256 HEX] [--url BASE]
// Checks the archive's SHA-256 before unpacking it. This file has the hash for linux-x86-64; --sha256 passes the hash for another kind of
// machine. Exit status 0: the SDK is installed; 1: it is not; 2: wrong usage.
import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import {
  createWriteStream,
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  renameSync,
  rmSync,
} from 'node:fs'
import { homedir } from 'node:os'
import { join, sep } from 'node:path'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { parseArgs } from 'node:util'

export const VERSION = '2.3.0'
const NAME = `microkit-sdk-${VERSION}`
const RELEASES = `https://github.com/seL4/microkit/releases/download/${VERSION}`
/** @type {Record<string, string>} */
const KNOWN = { 'linux-x86-64': 'e12e507f72c87cbf5c514df9e9b0c66103b42298852f44c045d5729ea3de4f89' }
/** The most bytes of an archive. */
const MOST = 1 << 30

/** @type {Record<string, string>} */
const SYSTEMS = { linux: 'linux', darwin: 'macos' }
/** @type {Record<string, string>} */
const MACHINES = { x64: 'x86-64', arm64: 'aarch64' }

/** Returns the name that the release page uses for a kind of machine. @param {string} system @param {string} machine */
function platform(system, machine) {
  const found = [SYSTEMS[system], MACHINES[machine]]
  if (found.includes(undefined)) throw new Error(`there is no Microkit SDK for ${system} on ${machine}`)
  return found.join('-')
}

/** Returns the SDK's folder. */
export const home = () => join(process.env['XDG_DATA_HOME'] || join(homedir(), '.local', 'share'), NAME)

/** @param {string} folder */
const isSdk = (folder) =>
  existsSync(join(folder, 'bin', 'microkit')) &&
  existsSync(join(folder, 'VERSION')) &&
  readFileSync(join(folder, 'VERSION'), 'utf8').trim() === VERSION

/** @param {string} url @param {string} file @returns {Promise<string>} the SHA-256 */
async function download(url, file) {
  const answer = await fetch(url)
  if (!answer.ok || answer.body === null) throw new Error(`${url}: ${answer.status} ${answer.statusText}`)
  const hash = createHash('sha256')
  let length = 0
  const body = Readable.fromWeb(answer.body)
  body.on('data', (/** @type {Buffer} */ bytes) => {
    hash.update(bytes)
    length += bytes.length
    if (length > MOST) body.destroy(new Error(`more than ${MOST} bytes`))
  })
  await pipeline(body, createWriteStream(file))
  return hash.digest('hex')
}

/** Checks that a folder has only files, folders, and links within it. @param {string} folder @param {string} top */
function checkTree(folder, top = realpathSync(folder)) {
  for (const name of readdirSync(folder)) {
    const path = join(folder, name)
    const found = lstatSync(path)
    const link = found.isSymbolicLink() && existsSync(path) && realpathSync(path).startsWith(top + sep)
    if (!found.isFile() && !found.isDirectory() && !link)
      throw new Error(`the archive has ${path}, which is not a file`)
    if (found.isDirectory()) checkTree(path, top)
  }
}

/** @param {string} archive @param {string} folder an empty one @returns {string} the SDK in it */
function unpack(archive, folder) {
  const done = spawnSync('tar', ['-xzf', archive, '-C', folder, '--no-same-owner'], { encoding: 'utf8' })
  if (done.error !== undefined) throw new Error(`tar: ${done.error.message}`)
  if (done.status !== 0) throw new Error(`the archive cannot be unpacked: ${done.stderr.trim()}`)
  const names = readdirSync(folder)
  const sdk = join(folder, NAME)
  if (names.join() !== NAME) throw new Error(`the archive: expected ${NAME}, found ${names.join(', ')}`)
  checkTree(sdk)
  if (!isSdk(sdk)) throw new Error(`the archive has no bin/microkit and VERSION of ${VERSION}`)
  return sdk
}

/**
 * @param {{ url?: string | undefined, sha256?: string | undefined, system?: string, machine?: string }} [options]
 * @returns {Promise<{ path: string, was: boolean }>} its folder, and whether it was installed before
 */
export async function getSdk({
  url = RELEASES,
  sha256,
  system = process.platform,
  machine = process.arch,
} = {}) {
  const to = home()
  if (isSdk(to)) return { path: to, was: true }
  if (existsSync(to)) throw new Error(`${to} exists but is not SDK ${VERSION}: remove it first`)
  const kind = platform(system, machine)
  const expected = sha256?.toLowerCase() ?? KNOWN[kind]
  if (expected === undefined) {
    throw new Error(`the SHA-256 of the SDK for ${kind} is unknown: pass it with --sha256`)
  }
  const data = join(to, '..')
  mkdirSync(data, { recursive: true })
  const work = mkdtempSync(join(data, '.microkit-sdk-'))
  try {
    const archive = join(work, 'archive')
    const found = await download(`${url.replace(/\/$/, '')}/${NAME}-${kind}.tar.gz`, archive)
    if (found !== expected) throw new Error(`the archive's SHA-256: expected ${expected}, found ${found}`)
    mkdirSync(join(work, 'unpacked'))
    const sdk = unpack(archive, join(work, 'unpacked'))
    renameSync(sdk, to)
  } finally {
    rmSync(work, { recursive: true, force: true })
  }
  return { path: to, was: false }
}

/** @param {unknown} error @returns {string} */
function why(error) {
  if (!(error instanceof Error)) return String(error)
  return error.cause instanceof Error ? `${error.message}: ${error.cause.message}` : error.message
}

/** @returns {Promise<number>} exit status */
async function main() {
  let values
  try {
    values = parseArgs({ options: { sha256: { type: 'string' }, url: { type: 'string' } } }).values
  } catch (error) {
    console.error(`get-sdk: ${why(error)}\nusage: qemu/get-sdk [--sha256 HEX] [--url BASE]`)
    return 2
  }
  if (values.sha256 !== undefined && !/^[0-9a-f]{64}$/i.test(values.sha256)) {
    console.error('get-sdk: --sha256: expected 64 hexadecimal digits')
    return 2
  }
  try {
    const { path, was } = await getSdk(values)
    console.log(was ? `${path} is already installed` : path)
    return 0
  } catch (error) {
    console.error(`get-sdk: ${why(error)}`)
    return 1
  }
}

if (process.argv[1] === import.meta.filename) process.exitCode = await main()
