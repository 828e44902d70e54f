/**
 * The second trees of a tenant's ledger: finds the folders of those that exist, begins new ones, and keeps all of them while the ledger is
 * open. The private key of each is beside the ledger's.
 */
import { join } from 'node:path'
import { messageOf } from '@service-fs/format/errors'
import { treeOrigin, type TreeAlgorithm } from '@service-fs/format/tree-binding'
import { LedgerError } from '@service-fs/ledger/errors'
import { SecondTree, type SecondTreeOptions, type TreeLog } from '@service-fs/ledger/second-tree/second-tree'
import { nativeCrypto } from '@service-fs/native/native'
import { nodeRuntime } from '@service-fs/native/runtime'
import type { StorageCapability } from '@service-fs/storage/capability'
import { StorageError } from '@service-fs/storage/errors'
import { NO_FLAGS, type FileFlags } from '@service-fs/storage-posix/flags'
import { openPosixStorage } from '@service-fs/storage-posix/posix'
import { isImmutable } from '@service-fs/storage-posix/probe'
import { verifierFromVkey } from '@service-fs/tlog/keys'
import type { ShownTree, Trees } from '@service-fs/wire/shown-trees'
import type { LogFields } from '../process/log.ts'
import { openSigner, treeKey } from './keys.ts'
import { exists, isLeftOut, LEFT_OUT, treeFolders } from './tree-folders.ts'

export interface SecondTreesOptions {
  /** The ledger's directory, and the directory of its private keys. */
  readonly dir: string
  readonly secret: string
  readonly log: TreeLog & { readonly origin: string }
  /** Whether the ledger was opened read-only on purpose. Its trees are then not continued. */
  readonly readOnly: boolean
  /** Returns the file flags to use; called each time that a tree is opened. Default: none. @throws HostedError `immutable` */
  readonly flags?: () => Promise<FileFlags | undefined>
  readonly warn: (message: string, fields: LogFields) => void
  readonly pace?: SecondTreeOptions['pace']
}

/** A tree that is open. */
interface Open {
  readonly tree: SecondTree
  readonly storage: StorageCapability
  readonly vkey: string
}

/** A tree whose folder exists: open, or with the reason why it is not. */
type Known = { open: Open; problem?: undefined } | { open?: undefined; problem: string }

export class SecondTrees implements Trees {
  readonly #options: SecondTreesOptions
  readonly #known = new Map<TreeAlgorithm, Known>()
  /** Runs one change at a time. */
  #turn: Promise<unknown> = Promise.resolve()
  #isClosed = false

  constructor(options: SecondTreesOptions) {
    this.#options = options
  }

  /** Continues the trees whose folders exist, and tries again those that could not be opened. Never rejects. */
  resume(): Promise<void> {
    return this.#inTurn(async () => {
      const { dir, readOnly } = this.#options
      if (readOnly) return
      for (const name of await treeFolders(dir).catch(() => []))
        if (this.#known.get(name)?.open === undefined) await this.#tryOpen(name, false)
    })
  }

  list(): ShownTree[] {
    return [...this.#known].map(([algorithm, known]) => this.#shown(algorithm, known))
  }

  /** @throws LedgerError `read-only`, `closed` */
  begin(algorithm: TreeAlgorithm): Promise<ShownTree> {
    return this.#inTurn(async () => {
      const { readOnly } = this.#options
      if (readOnly) throw new LedgerError('read-only', 'the ledger was opened read-only (--read-only)')
      if (this.#isClosed) throw new LedgerError('closed', 'the ledger is closed')
      const known = this.#known.get(algorithm)
      const isRunning = known?.open !== undefined && known.open.tree.status().state !== 'failed'
      if (known === undefined || !isRunning) {
        await close(known?.open)
        await this.#tryOpen(algorithm, true)
      }
      return this.#shown(algorithm, this.#known.get(algorithm) as Known)
    })
  }

  /** Publishes the checkpoints of the trees, and closes their storages. */
  close(): Promise<void> {
    return this.#inTurn(async () => {
      this.#isClosed = true
      for (const { open } of this.#known.values()) await close(open)
    })
  }

  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const done = this.#turn.then(work)
    this.#turn = done.catch(() => undefined)
    return done
  }

  async #tryOpen(algorithm: TreeAlgorithm, mayCreate: boolean): Promise<void> {
    try {
      await this.#open(algorithm, mayCreate)
    } catch (error) {
      this.#known.set(algorithm, { problem: problemText(error) })
      this.#options.warn('a second tree is not continued', { hash: algorithm, reason: messageOf(error) })
    }
  }

  /** `mayCreate`: whether a tree that has no key yet may begin here. */
  async #open(algorithm: TreeAlgorithm, mayCreate: boolean): Promise<void> {
    const { dir, secret, log, warn, pace, flags } = this.#options
    const folder = join(dir, algorithm)
    if (await isLeftOut(folder))
      throw new LedgerError(
        'read-only',
        `${algorithm}/${LEFT_OUT}: this copy of the ledger leaves out the tree: remove the folder to build it`,
      )
    const origin = treeOrigin(log.origin, algorithm)
    const isNew = mayCreate && !(await exists(join(folder, 'keys', 'ed25519.vkey')))
    // The directory of the keys exists, because it holds the ledger's key.
    const place = { isDirectoryDurable: true }
    const signer = await openSigner(join(secret, treeKey(algorithm)), origin, isNew, place)
    // Load these hashes on first use, because most tenants never need them.
    const { treeDigests } = await import('@service-fs/native/tree-digests')
    const hash = treeDigests[algorithm]
    // Seal one file at a time, so that the log can use the other threads of the pool.
    const storage = await openPosixStorage(folder, {
      lock: false,
      hashBytes: hash.bytes,
      sealWidth: 1,
      // Without flags, an earlier process may have set attributes nevertheless.
      flags: (await flags?.()) ?? (isImmutable(join(folder, 'origin')) ? NO_FLAGS : undefined),
    })
    const tree = new SecondTree({
      algorithm,
      origin,
      hash,
      log,
      storage,
      signer,
      verifier: verifierFromVkey(signer.vkey, nativeCrypto),
      runtime: nodeRuntime,
      pace,
      failed: (error, isFinal) =>
        warn(isFinal ? 'a second tree is not continued' : 'a second tree waits', {
          hash: algorithm,
          reason: messageOf(error),
        }),
    })
    this.#known.set(algorithm, { open: { tree, storage, vkey: signer.vkey } })
    tree.start()
  }

  #shown(algorithm: TreeAlgorithm, { open, problem }: Known): ShownTree {
    const { log } = this.#options
    const named = { hash: algorithm, origin: treeOrigin(log.origin, algorithm) }
    if (open === undefined)
      return { ...named, state: 'failed', size: 0, log_size: log.size, signed_size: 0, problem }
    const { state, size, signed, bound, problem: last } = open.tree.status()
    return {
      ...named,
      vkey: open.vkey,
      state,
      size,
      log_size: log.size,
      signed_size: signed,
      ...(bound === undefined ? {} : { bound }),
      ...(last === undefined ? {} : { problem: last }),
    }
  }
}

/** Returns the message for clients. Messages of other errors may name files of the machine. */
function problemText(error: unknown): string {
  const isPlain = error instanceof LedgerError || error instanceof StorageError
  return isPlain ? error.message : 'the tree could not be opened; see the log'
}

async function close(open: Open | undefined): Promise<void> {
  if (open === undefined) return
  await open.tree.stop()
  await open.storage.close()
}
