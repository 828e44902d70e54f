/**
 * The supervisor's side of file attributes: sets them on the files of a tenant, which runs as another user without the privilege to
 * do so. It clears only append-only, and only on a tail file whose entries are all sealed or in a newer tail file.
 *
 * It does not trust the tenant. A request must name a path of the ledger format. Every directory on the path must belong to the
 * tenant, and none may be a symbolic link. The file must be a regular file of the tenant with a single name, and no process may
 * have it open for writing.
 */
import { fstatSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { parseTreePath, splitTreePath } from '@service-fs/ledger/second-tree/tree-path'
import { nativeCodec } from '@service-fs/native/native'
import { errnoOf, StorageError } from '@service-fs/storage/errors'
import { Limiter } from '@service-fs/storage/limiter'
import {
  formatObjectName,
  MAX_TAIL_BYTES,
  maxBytes,
  parseObjectName,
  parseSealedName,
  type SealedName,
} from '@service-fs/storage/object-name'
import { type Attributes, loadAttributes } from '@service-fs/storage-posix/attributes'
import { protectFile, whyNoFlags } from '@service-fs/storage-posix/flags'
import type { Channel } from './channel.ts'
import { type FlagReply, type FlagRequest, MOST_REQUESTS, parseFlagRequest } from './flag-messages.ts'
import { LedgerFiles, readBytes } from './ledger-files.ts'
import { isSuperseded, type OldTail } from './superseded.ts'

export interface FlagServiceOptions {
  /** The absolute path of the tenant's directory. */
  dir: string
  /** The tenant's user. */
  uid: number
  /** Runs the checks of all tenants, one at a time: reading a tail file takes memory and time. */
  checks: Limiter
  /** Called when the tenant sends an invalid request or too many at once. */
  misbehaved(reason: string): void
}

/** Directories that contain sealed files, of a log and of a second tree. */
const SEALED_DIRECTORY = /^(?:keys|tile(?:\/(?:entries|\d{1,2})(?:\/x\d{3})*)?)$/
const TREE_DIRECTORY = /^(?:keys|tile(?:\/\d{1,2}(?:\/x\d{3})*)?)$/

/** A tenant waits this many times the duration of its last check before its next check. */
const CHECK_PAUSE = 4
/** The maximum pause in milliseconds: a tenant that stops waits for it. */
const LONGEST_PAUSE_MS = 2000
/** The maximum number of a tenant's requests to answer per second. */
const MOST_A_SECOND = 2000

/** Answers the child's requests for attributes of its files until the child ends. */
export function serveFlags(child: Channel, options: FlagServiceOptions): void {
  let service: Promise<FlagService> | undefined
  let waiting = 0
  let isHeard = true
  const misbehaved = (reason: string): void => {
    isHeard = false
    options.misbehaved(reason)
  }
  child.on('message', (message) => {
    if (!isHeard) return
    const request = parseFlagRequest(message)
    if (request === undefined) return misbehaved('it sent an invalid request')
    if (++waiting > MOST_REQUESTS) return misbehaved('it sent too many requests at once')
    service ??= loadAttributes().then((attributes) => new FlagService(attributes, options))
    void service
      .then((one) => one.answer(request))
      .then((reply) => {
        waiting -= 1
        if (child.connected) child.send(reply)
      })
  })
}

/** Answers the requests of one tenant. */
export class FlagService {
  readonly #attributes: Attributes | undefined
  readonly #files: LedgerFiles | undefined
  readonly #checks: Limiter
  #releases: Promise<unknown> = Promise.resolve()
  #pause: Promise<unknown> = Promise.resolve()
  #second = 0
  #inSecond = 0

  constructor(
    attributes: Attributes | undefined,
    { dir, uid, checks }: Pick<FlagServiceOptions, 'dir' | 'uid' | 'checks'>,
  ) {
    this.#checks = checks
    this.#attributes = attributes
    this.#files = attributes === undefined ? undefined : new LedgerFiles(attributes, dir, uid)
  }

  /** Performs the request; a failure is in the reply. Never rejects. */
  async answer(request: FlagRequest): Promise<FlagReply> {
    const { id } = request
    try {
      await this.#pace()
      await this.#do(request)
      return { kind: 'flags', id, done: true }
    } catch (error) {
      const code = errnoOf(error) ?? 'failed'
      // The system's message may contain absolute paths.
      const message = error instanceof StorageError ? error.message : code
      return { kind: 'flags', id, done: false, code, message }
    }
  }

  async #pace(): Promise<void> {
    for (;;) {
      const now = performance.now()
      const second = Math.floor(now / 1000)
      if (second !== this.#second) this.#inSecond = 0
      this.#second = second
      if (this.#inSecond++ < MOST_A_SECOND) return
      await sleep((second + 1) * 1000 - now, undefined, { ref: false })
    }
  }

  async #do(request: FlagRequest): Promise<void> {
    const [attributes, files] = [this.#attributes, this.#files]
    if (attributes === undefined || files === undefined)
      throw new StorageError('io', `file attributes are not supported on ${process.platform} ${process.arch}`)
    switch (request.verb) {
      case 'hello': {
        const reason = files.withRoot((fd) => whyNoFlags(attributes, fd))
        if (reason !== undefined) throw new StorageError('io', reason)
        return
      }
      case 'sealed':
        checkSealedPath(request.path)
        return files.withFile(request.path, (fd) => protectFile(attributes, fd, 'immutable'))
      case 'appendOnly': {
        const kind = growingKind(request.path)
        return files.withFile(request.path, (fd) => protectFile(attributes, fd, 'append-only'), kind)
      }
      case 'release': {
        const { path, newer } = request
        const done = this.#releases.then(async () => {
          await this.#pause
          await this.#release(attributes, files, path, newer)
        })
        this.#releases = done.catch(() => undefined)
        return done
      }
    }
  }

  /** Clears append-only of a superseded tail file. Runs one at a time. */
  async #release(attributes: Attributes, files: LedgerFiles, path: string, newer: string): Promise<void> {
    const [ledger, name] = splitAudit(path)
    const [newerLedger, newerName] = splitAudit(newer)
    const [start, newerStart] = [tailStart(name), tailStart(newerName)]
    if (ledger !== newerLedger) throw new StorageError('path', 'expected two tail files of one ledger')
    const newerFile = { path: newer, start: newerStart }
    // Check and change the same descriptor, because the path may come to name another file.
    await files.withFile(path, async (fd) => {
      if (!attributes.has(fd, 'append-only')) return
      const { size } = fstatSync(fd)
      const may = await this.#check(() =>
        mayGo(files, ledger, { start, bytes: readBytes(fd, Math.min(size, MAX_TAIL_BYTES)) }, newerFile),
      )
      if (!may || fstatSync(fd).size !== size || size > MAX_TAIL_BYTES)
        throw new StorageError('unsealed', `${path}: expected every entry to be sealed or in ${newer}`)
      attributes.set(fd, 'append-only', false)
    })
  }

  /** Runs one check at a time among all tenants, and delays this tenant's next one. */
  #check(look: () => Promise<boolean>): Promise<boolean> {
    return this.#checks.run(async () => {
      const started = performance.now()
      try {
        return await look()
      } finally {
        const ms = Math.min((performance.now() - started) * CHECK_PAUSE, LONGEST_PAUSE_MS)
        this.#pause = sleep(ms, undefined, { ref: false })
      }
    })
  }
}

async function mayGo(
  files: LedgerFiles,
  ledger: string,
  old: OldTail,
  newer: { path: string; start: number },
): Promise<boolean> {
  const bytes = await files.read(newer.path, 'append-only', MAX_TAIL_BYTES)
  if (bytes === undefined) return false
  const sealed = (name: SealedName): Promise<Uint8Array | undefined> =>
    files.read(ledger + formatObjectName(name), 'immutable', maxBytes(name)).catch(() => undefined)
  const line = async (name: SealedName): Promise<string | undefined> => {
    const text = await sealed(name)
    return text === undefined ? undefined : nativeCodec.utf8Decode(text).replace(/\n$/, '')
  }
  return isSuperseded(old, {
    newer: { start: newer.start, bytes },
    bundle: (index) => sealed({ kind: 'bundle', index }),
    origin: () => line({ kind: 'origin' }),
    vkey: () => line({ kind: 'vkey', name: 'ed25519' }),
  })
}

/** Splits a path into its ledger, `audit/` or the empty string, and the path within it. */
function splitAudit(path: string): [ledger: string, path: string] {
  return path.startsWith('audit/') ? ['audit/', path.slice('audit/'.length)] : ['', path]
}

/** Returns the index of the first entry of a tail file. @throws StorageError `path` */
function tailStart(path: string): number {
  const name = parseObjectName(path)
  if (name.kind === 'tail') return name.start
  throw new StorageError('path', 'expected the path of a tail file')
}

/** Accepts the path of a sealed file of the ledger, of its audit sub-ledger, or of a second tree of the ledger. @throws StorageError `path` */
function checkSealedPath(path: string): void {
  if (splitTreePath(path) === undefined) parseSealedName(splitAudit(path)[1])
  else parseTreePath(path)
}

/** Returns the kind of file that may become append-only at a path. @throws StorageError `path` */
function growingKind(path: string): 'file' | 'directory' {
  if (TREE_DIRECTORY.test(splitTreePath(path)?.rest ?? '')) return 'directory'
  const [, inside] = splitAudit(path)
  if (SEALED_DIRECTORY.test(inside)) return 'directory'
  tailStart(inside)
  return 'file'
}
