/** A copy of a ledger and of its audit sub-ledger, which is updated repeatedly. */
import { readmeText } from '@service-fs/format/readme'
import { VERIFY_SH } from '@service-fs/format/verify-shell'
import { codeOf, messageOf } from '@service-fs/format/errors'
import { ClientError } from '@service-fs/client/errors'
import { ownKeyFiles } from '@service-fs/client/key-files'
import type { LedgerFiles } from '@service-fs/client/ledger-files'
import { filesSource } from '@service-fs/client/source'
import { keysIn } from '@service-fs/client/audit-place'
import { Trust } from '@service-fs/client/trust'
import { WORKING_FILES } from '@service-fs/client/verify-directory'
import { nativeCodec } from '@service-fs/native/native'
import type { StorageCapability } from '@service-fs/storage/capability'
import { parseSealedName } from '@service-fs/storage/object-name'
import { copyLog, storedTree, type CopiedLog, type SignedTree } from './copy-log.ts'
import type { CopyForm, CopyPlace, LogFolder } from './copy-place.ts'
import type { CopySource } from './copy-source.ts'
import { hasTail } from './tree-end.ts'

/** The result of one run. */
export interface CopyReport extends CopiedLog {
  /** The place of the source. */
  place: string
  /** Describes the keys that the checkpoint was verified with. */
  trust: string
  /** The keys were pinned by the caller. */
  pinned: boolean
  /** Facts that are not problems. */
  notes: string[]
  /** The audit sub-ledger. */
  audit?: CopyReport
}

export interface CopyOptions {
  place: CopyPlace
  /** The pinned keys. If undefined, the keys stored in the copy are trusted. */
  trust: Trust | undefined
  withoutAudit: boolean
}

type Progress = (entries: number, size: number) => void

export class VerifiedCopy {
  readonly #options: CopyOptions
  /** The open storages. */
  readonly #open = new Map<LogFolder, StorageCapability>()

  constructor(options: CopyOptions) {
    this.#options = options
  }

  /**
   * Copies the entries of the source that the copy lacks. Verifies the source's checkpoint before it creates or opens the copy.
   * @throws ClientError like `copyLog`; StorageError `locked`, `conflict`, `full`, `io`
   */
  async update(source: CopySource, progress?: Progress): Promise<CopyReport> {
    const { place } = this.#options
    try {
      return await this.#update(source, progress)
    } catch (error) {
      if (place.forget !== undefined) {
        place.forget()
        this.#open.clear()
      }
      throw error
    }
  }

  async #update(source: CopySource, progress: Progress | undefined): Promise<CopyReport> {
    const { place, trust, withoutAudit } = this.#options
    const { files } = place
    const own = trust ?? (await storedKeys(files))
    if (own === undefined)
      throw new ClientError(
        'usage',
        `${files.place}: expected --vkey or --policy, because it holds no keys yet`,
      )
    const newest = await newestOf(source, own)
    const report = await this.#log('', source, own, newest, progress)
    if (withoutAudit) return report
    const audit = await this.#audit(source.audit(), report)
    return audit === undefined ? report : { ...report, audit }
  }

  async #audit(source: CopySource, main: CopyReport): Promise<CopyReport | undefined> {
    const files = this.#files('audit')
    const origin = `${main.origin}/audit`
    try {
      const pinned = this.#options.trust
      const trust = pinned?.knows(origin) === true ? pinned : await storedKeys(files)
      const known = trust ?? Trust.shown(await source.vkeys(), `${source.place}: its own keys`)
      return await this.#log('audit', source, known, await newestOf(source, known, origin))
    } catch (error) {
      const status = error instanceof ClientError ? error.status : undefined
      const isAbsent = codeOf(error) === 'not-found' || status === 404
      const isHeld = (await files.read('checkpoint')) !== undefined
      // A source must not hide the sub-ledger that it showed before.
      if (isHeld && isAbsent)
        throw new ClientError(
          'false',
          `${files.place}: holds a copy, but the source has none: ${messageOf(error)}`,
        )
      if (isHeld || (!isAbsent && status !== 401 && status !== 403)) throw error
      main.notes.push(`the audit sub-ledger was not copied: ${messageOf(error)}`)
      return undefined
    }
  }

  async #log(
    folder: LogFolder,
    source: CopySource,
    trust: Trust,
    newest: SignedTree,
    progress?: Progress,
  ): Promise<CopyReport> {
    const { place } = this.#options
    const files = this.#files(folder)
    const storage = await this.#opened(folder, newest.checkpoint.origin, trust)
    await storeIdentity(source, storage, trust, newest)
    const copied = await copyLog({
      source: source.log,
      target: {
        name: files.place,
        storage,
        stored: filesSource(files),
        end: (tree, note) => place.end(folder, storage, tree, note),
      },
      trust,
      newest,
      ...(progress === undefined ? {} : { progress }),
    })
    return { place: source.place, ...copied, trust: trust.toString(), pinned: trust.pinned, notes: [] }
  }

  #files(folder: LogFolder): LedgerFiles {
    const { files } = this.#options.place
    return folder === '' ? files : files.below(folder)
  }

  async #opened(folder: LogFolder, origin: string, trust: Trust): Promise<StorageCapability> {
    const known = this.#open.get(folder)
    if (known !== undefined) return known
    const { place } = this.#options
    await checkPlace(this.#files(folder), place.form, origin, trust)
    const storage = await place.open(folder)
    this.#open.set(folder, storage)
    return storage
  }

  /** Releases the place. Removes the working files from an export. */
  close(): Promise<void> {
    return this.#options.place.close()
  }
}

/** Returns the keys stored in a copy; undefined until its first run is complete. */
async function storedKeys(files: LedgerFiles): Promise<Trust | undefined> {
  if ((await files.read('checkpoint')) === undefined) return undefined
  return Trust.shown(await keysIn(files), `${files.place}/keys`)
}

/** Checks that a place, if it has files, is a copy of this ledger in this form. @throws ClientError `file`, `false` */
async function checkPlace(files: LedgerFiles, form: CopyForm, origin: string, trust: Trust): Promise<void> {
  const { place } = files
  const names = (await files.list('')).map(({ name }) => name).filter((name) => !WORKING_FILES.has(name))
  const text = (await files.read('origin'))?.toString('utf8')
  if (text === undefined && !names.every((name) => ['README.txt', 'verify.sh', 'keys'].includes(name)))
    throw new ClientError(
      'file',
      `${place}: expected a copy of a ledger or an empty directory, found other files`,
    )
  if (text !== undefined && text !== `${origin}\n`)
    throw new ClientError(
      'false',
      `${place}: expected a copy of ${JSON.stringify(origin)}, found ${JSON.stringify(text.trimEnd())}`,
    )
  const size = (await storedTree(filesSource(files), trust))?.checkpoint.size ?? 0
  if (size === 0) return
  const found = (await hasTail(files)) ? 'ledger' : 'export'
  if (found !== form)
    throw new ClientError('file', `${place}: expected ${named(form)}, found ${named(found)}`)
}

function named(form: CopyForm): string {
  return form === 'ledger' ? 'a mirror, with a tail' : 'an export, without a tail'
}

/** Reads the newest checkpoint of a source. @throws ClientError `false` unless the trusted keys signed it */
async function newestOf({ log }: CopySource, trust: Trust, origin?: string): Promise<SignedTree> {
  const note = await log.checkpoint()
  return { note, checkpoint: trust.openPublished(note, origin).checkpoint }
}

/**
 * Stores the files that never change, unless they exist. The keys are stored once, before the first checkpoint: keys that the source shows
 * later are ignored.
 */
async function storeIdentity(
  source: CopySource,
  storage: StorageCapability,
  trust: Trust,
  { note, checkpoint: { origin } }: SignedTree,
): Promise<void> {
  const isNew = (await storage.read({ kind: 'checkpoint' })) === undefined
  const texts = new Map<string, string>()
  if (isNew) {
    const keys = await ownKeyFiles(() => source.vkeys(), trust, origin)
    Trust.shown([...keys.values()], 'keys/').open(note, origin)
    for (const [name, vkey] of keys) texts.set(`keys/${name}`, `${vkey}\n`)
  }
  const readme = await storage.read({ kind: 'readme' })
  texts.set('README.txt', readmeText(origin))
  // README.txt states the hash of verify.sh, unless an earlier version wrote README.txt. In that case only `service-fs upgrade` adds
  // verify.sh, together with README-2.txt.
  if (readme === undefined || nativeCodec.utf8Decode(readme) === readmeText(origin))
    texts.set('verify.sh', VERIFY_SH)
  texts.set('origin', `${origin}\n`)
  for (const [path, text] of texts) {
    const name = parseSealedName(path)
    const found = await storage.read(name)
    // Another version may have written another README.txt. Sealing the same bytes again makes an interrupted run's file durable.
    if (found === undefined || isNew) await storage.seal(name, found ?? nativeCodec.utf8Encode(text))
  }
}
