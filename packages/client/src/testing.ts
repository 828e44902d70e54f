/** Makes ledgers for tests: in a directory, with the functions of tlog and format, and served over HTTP. */
import { execFile } from 'node:child_process'
import { mkdir, mkdtemp, readFile, readdir, rm, writeFile } from 'node:fs/promises'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { dirname, join, relative } from 'node:path'
import { entriesOf, parseEntry, type RecordContent } from '@service-fs/format/entry'
import { readmeText } from '@service-fs/format/readme'
import { VERIFY_SH } from '@service-fs/format/verify-shell'
import { formatCommit, formatEdge } from '@service-fs/format/tail-text'
import { formatCheckpointText } from '@service-fs/tlog/checkpoint'
import { Edge } from '@service-fs/tlog/edge'
import type { Hash } from '@service-fs/tlog/hash'
import { formatSignerKey, signerFromKey } from '@service-fs/tlog/keys'
import { signNote } from '@service-fs/tlog/note'
import { computeProof, inclusionPlan, subtreeRoot } from '@service-fs/tlog/proof'
import { TILE_WIDTH, parseTilePath, storedPath, tileCount, tilesOf, type Tile } from '@service-fs/tlog/tile'
import { bundleToBinary, formatBundle, formatHashTile, hashTileToBinary } from '@service-fs/tlog/tile-text'
import { formatTlogProof } from '@service-fs/tlog/tlog-proof'
import { nativeCodec, nativeCrypto, nativeHasher, sha256Hex } from '@service-fs/native/native'
import { directoryFiles } from './ledger-files.ts'
import { filesSource } from './source.ts'
import { tailPath } from './tail.ts'

export const TEST_ORIGIN = 'example.org/ledger/test'

/** Returns a signer for `origin`. Its key depends only on `seed`. */
export function testSigner(origin: string = TEST_ORIGIN, seed: number = 7): ReturnType<typeof signerFromKey> {
  const key = { name: origin, type: 1, seed: new Uint8Array(32).fill(seed) }
  return signerFromKey(formatSignerKey(key, nativeCrypto), nativeCrypto)
}

/** Returns small records of text, one second apart. */
export function testRecords(count: number): RecordContent[] {
  return Array.from({ length: count }, (_, i) => ({
    id: `record/${i}`,
    type: 'text/plain',
    time: new Date(Date.UTC(2026, 10, 22) + i * 1000).toISOString(),
    payload: Buffer.from(`content of ${i}`),
  }))
}

export interface TestLedger {
  origin?: string
  /** The raw entries; default: the entries of `records`. */
  entries?: Uint8Array[]
  records?: RecordContent[]
  /** The number of entries of one commit (default 10). */
  commit?: number
  /** 'grow': one tail file after the sealed bundles; 'each': a tail file for every commit, from the start; 'export': no tail. */
  tail?: 'grow' | 'each' | 'export'
}

/** Makes a new temporary directory. */
export function temporary(): Promise<string> {
  return mkdtemp(join(tmpdir(), 'service-fs-client-'))
}

export function remove(dir: string): Promise<void> {
  return rm(dir, { recursive: true, force: true })
}

export async function writeBelow(dir: string, path: string, content: string | Uint8Array): Promise<void> {
  await mkdir(dirname(join(dir, path)), { recursive: true })
  await writeFile(join(dir, path), content)
}

/** Returns the signed checkpoint of the first `size` leaves. */
export async function checkpointOf(
  leaves: readonly Hash[],
  size: number,
  origin: string = TEST_ORIGIN,
): Promise<string> {
  const edge = new Edge()
  for (const leaf of leaves.slice(0, size)) edge.append(leaf, nativeHasher)
  return signNote(formatCheckpointText({ origin, size, root: edge.root(nativeHasher), extensions: [] }), [
    testSigner(origin),
  ])
}

/** Writes a ledger into `dir`, without an audit sub-ledger. */
export async function makeLedger(dir: string, ledger: TestLedger): Promise<void> {
  const origin = ledger.origin ?? TEST_ORIGIN
  const entries = ledger.entries ?? (ledger.records ?? []).flatMap((content) => entriesOf(content, sha256Hex))
  const leaves = entries.map((entry) => nativeHasher.leaf(entry))
  const lines = entries.map((entry) => nativeCodec.base64Encode(entry))
  const size = entries.length
  await writeBelow(dir, 'origin', origin + '\n')
  await writeBelow(dir, 'README.txt', readmeText(origin))
  await writeBelow(dir, 'verify.sh', VERIFY_SH)
  await writeBelow(dir, 'keys/ed25519.vkey', testSigner(origin).vkey + '\n')
  await writeBelow(dir, 'checkpoint', await checkpointOf(leaves, size, origin))
  const tail = ledger.tail ?? 'grow'
  for (const tile of tilesOf(size)) {
    if (tile.width < TILE_WIDTH && tail !== 'export') continue
    const text =
      tile.level === 'entries'
        ? formatBundle(slice(lines, tile))
        : formatHashTile(slice(level(leaves, tile.level), tile))
    await writeBelow(dir, storedPath(tile), text)
  }
  if (tail === 'export' || size === 0) return
  await writeTail(dir, { lines, leaves, origin, commit: ledger.commit ?? 10 }, tail)
}

function slice<T>(all: readonly T[], tile: Tile): T[] {
  return all.slice(tile.index * TILE_WIDTH, tile.index * TILE_WIDTH + tile.width)
}

/** Returns the hashes of a tile level. */
function level(leaves: readonly Hash[], wanted: number): readonly Hash[] {
  let hashes = leaves
  for (let i = 0; i < wanted; i++) {
    const below = hashes
    const count = Math.floor(below.length / TILE_WIDTH)
    hashes = Array.from({ length: count }, (_, n) =>
      subtreeRoot(below.slice(n * TILE_WIDTH, (n + 1) * TILE_WIDTH), nativeHasher),
    )
  }
  return hashes
}

interface Content {
  lines: string[]
  leaves: Hash[]
  origin: string
  commit: number
}

async function writeTail(dir: string, content: Content, tail: 'grow' | 'each'): Promise<void> {
  const size = content.lines.length
  const sealed = tail === 'each' ? 0 : tileCount('entries', size) * TILE_WIDTH
  let parts: Uint8Array[] = []
  let start = sealed
  for (let from = sealed; from < size || parts.length === 0; from += content.commit) {
    if (parts.length === 0) parts.push(Buffer.from(formatEdge(edgeAt(content.leaves, from))))
    const to = Math.min(size, from + content.commit)
    parts.push(
      formatCommit(content.lines.slice(from, to), await checkpointOf(content.leaves, to, content.origin)),
    )
    if (tail === 'grow' && to < size) continue
    await writeBelow(dir, tailPath(start), Buffer.concat(parts))
    if (to >= size) return
    start = to
    parts = []
  }
}

function edgeAt(leaves: readonly Hash[], size: number): Hash[] {
  const edge = new Edge()
  for (const leaf of leaves.slice(0, size)) edge.append(leaf, nativeHasher)
  return edge.hashes()
}

/** Returns the .tlog-proof of an entry. */
export async function proofOf(entries: readonly Uint8Array[], index: number): Promise<string> {
  const leaves = entries.map((entry) => nativeHasher.leaf(entry))
  const tiles = (at: number, tile: number): Hash[] =>
    level(leaves, at).slice(tile * TILE_WIDTH, (tile + 1) * TILE_WIDTH)
  const hashes = computeProof(inclusionPlan(index, leaves.length), tiles, nativeHasher)
  const entry = entries[index] as Uint8Array
  const extra = entry.subarray(0, headerLength(entry))
  return formatTlogProof({ extra, index, hashes, checkpoint: await checkpointOf(leaves, leaves.length) })
}

function headerLength(entry: Uint8Array): number {
  return parseEntry(entry, nativeCodec).headerLength
}

/** A server with its URL. */
export interface TestServer {
  url: string
  /** The requested paths, in order. */
  asked: string[]
  close(): Promise<void>
}

export async function startServer(
  handle: (request: IncomingMessage, response: ServerResponse, body: Buffer) => void | Promise<void>,
): Promise<TestServer> {
  const asked: string[] = []
  const server: Server = createServer((request, response) => {
    asked.push(request.url ?? '')
    const chunks: Buffer[] = []
    request.on('data', (chunk: Buffer) => chunks.push(chunk))
    request.on('end', () => {
      Promise.resolve(handle(request, response, Buffer.concat(chunks))).catch((error: unknown) => {
        response.writeHead(500).end(String(error))
      })
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  const close = (): Promise<void> =>
    new Promise((resolve) => {
      server.close(() => resolve())
      server.closeAllConnections()
    })
  return { url: `http://127.0.0.1:${port}/`, asked, close }
}

/** Serves a ledger directory and its audit/ in the way of a static tlog-tiles host, each with `/v1/contract`. */
export function serveDirectory(dir: string): Promise<TestServer> {
  return startServer(async (request, response) => {
    const [, audit, path = ''] = /^\/(audit\/)?(.*)$/.exec(request.url ?? '') ?? []
    const at = join(dir, audit ?? '')
    try {
      if (path === 'checkpoint') response.end(await filesSource(directoryFiles(at)).checkpoint())
      else if (path === 'v1/contract') {
        const vkey = await readFile(join(at, 'keys/ed25519.vkey'), 'utf8')
        const origin = (await readFile(join(at, 'origin'), 'utf8')).trimEnd()
        response.end(JSON.stringify({ origin, vkeys: [vkey.trimEnd()] }))
      } else response.end(await tileBytes(at, parseTilePath(path)))
    } catch {
      response.writeHead(404).end()
    }
  })
}

async function tileBytes(dir: string, tile: Tile): Promise<Uint8Array> {
  const source = filesSource(directoryFiles(dir))
  const { level: at, index, width } = tile
  if (at !== 'entries') return hashTileToBinary(await source.hashTile(at, index, width))
  const entries = await source.bundle(index, width)
  return bundleToBinary(entries.map((entry) => nativeCodec.base64Encode(entry)))
}

/** Returns the SHA-256 of each file below a directory, by path. */
export async function filesBelow(dir: string): Promise<Record<string, string>> {
  const found = await readdir(dir, { recursive: true, withFileTypes: true })
  const paths = found.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name))
  const files: Record<string, string> = {}
  for (const path of paths.sort()) files[relative(dir, path)] = sha256Hex(await readFile(path))
  return files
}

/** Runs a tar program in `dir` and returns its output. Rejects when the program fails or is not installed. */
export function runTar(dir: string, ...args: string[]): Promise<string> {
  return new Promise((resolve, reject) => {
    const [program, ...rest] = /^(?:bsdtar|busybox)$/.test(args[0] ?? '') ? args : ['tar', ...args]
    execFile(program as string, rest, { cwd: dir }, (error, stdout, stderr) =>
      error === null ? resolve(stdout) : reject(new Error(`${program}: ${stderr}`)),
    )
  })
}
