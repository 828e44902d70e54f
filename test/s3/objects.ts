// The objects of a copy in a store.
import { sha256Hex } from '@service-fs/native/native'
import { S3Objects } from '@service-fs/s3/objects'
import { parseS3Place } from '@service-fs/s3/place'
import type { Store } from './store.ts'

export class StoredCopy {
  /** The place for the command line. */
  readonly place: string
  readonly #store: Store
  /** The bucket and the prefix. */
  readonly #at: string
  readonly objects: S3Objects

  /** `endpoint`: default that of the store. */
  constructor(store: Store, at: string, endpoint = store.url) {
    this.#store = store
    this.#at = at
    this.place = `s3://${at}?endpoint=${endpoint}`
    this.objects = new S3Objects(parseS3Place(`s3://${at}?endpoint=${store.url}`), {
      credentials: () => Promise.resolve(store.credentials),
    })
  }

  /** Returns the names of all objects, in order. */
  async names(folder = ''): Promise<string[]> {
    const names: string[] = []
    for (const { name, kind } of await this.objects.list(folder, 10_000)) {
      const path = folder === '' ? name : `${folder}/${name}`
      if (kind === 'object') names.push(path)
      else names.push(...(await this.names(path)))
    }
    return names.sort()
  }

  /** Returns an object, one character for each byte. */
  async text(name: string): Promise<string> {
    const found = await this.objects.read(name, 1 << 25)
    if (found === undefined) throw new Error(`there is no ${name}`)
    return Buffer.from(found.bytes).toString('latin1')
  }

  /** Returns the SHA-256 of each object, like `filesBelow` of a directory. */
  async files(): Promise<Record<string, string>> {
    const files: Record<string, string> = {}
    for (const name of await this.names())
      files[name] = sha256Hex(Buffer.from(await this.text(name), 'latin1'))
    return files
  }

  /** Stores other content under a name, as anybody with the credentials can: in a versioned bucket the locked version stays. */
  async overwrite(name: string, text: string): Promise<void> {
    await this.#store.send('PUT', `${this.#at}/${name}`, {}, Buffer.from(text, 'latin1'))
  }

  async hide(name: string): Promise<void> {
    await this.#store.send('DELETE', `${this.#at}/${name}`)
  }

  /** Returns the mode of the lock of an object, and its last moment; undefined when it has none. */
  async lockOf(name: string): Promise<{ mode: string; until: number } | undefined> {
    const text = await this.#document(name, 'retention')
    const [, mode = ''] = /<Mode>(\w+)</.exec(text) ?? []
    const [, until = ''] = /<RetainUntilDate>([^<]+)</.exec(text) ?? []
    return mode === '' ? undefined : { mode, until: Date.parse(until) }
  }

  /** Whether an object has a legal hold. */
  async isHeld(name: string): Promise<boolean> {
    return (await this.#document(name, 'legal-hold')).includes('<Status>ON</Status>')
  }

  /** Returns what the store knows about the lock of an object; empty when it knows nothing. */
  #document(name: string, kind: string): Promise<string> {
    return this.#store.send('GET', `${this.#at}/${name}?${kind}`).catch((error: Error) => {
      if (!error.message.includes('NoSuchObjectLockConfiguration')) throw error
      return ''
    })
  }
}

/** Whether an object is written once. */
export function isSealed(name: string): boolean {
  return !/^(?:audit\/)?(?:checkpoint$|tail\/)/.test(name)
}
