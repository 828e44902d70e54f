// versitygw, an S3-compatible store over a folder.
import { spawn, type ChildProcess } from 'node:child_process'
import { mkdir, mkdtemp, rm } from 'node:fs/promises'
import { homedir, tmpdir } from 'node:os'
import { join } from 'node:path'
import { AwsV4Signer } from 'aws4fetch'
import type { Credentials } from '@service-fs/s3/credentials'
import { afterAll, beforeAll, beforeEach, describe, vi } from 'vitest'
import { goVersion, installVersitygw } from '../support/go.ts'
import { end, freePort, hasExited, sleep } from '../support/process.ts'

/** Outside of the checkout, so that one installation serves each of them. */
const bin = join(process.env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache'), 'service-fs/versitygw-1.2.0')

/** Why the store cannot be installed here, or undefined. */
async function missingStore(): Promise<string | undefined> {
  return goVersion === undefined ? 'go is not installed' : installVersitygw(bin)
}

const missing = await missingStore()

/** Defines a suite that needs the store; without one it is skipped, and its name says why. */
export function describeStore(name: string, tests: () => void): void {
  describe.skipIf(missing !== undefined)(missing === undefined ? name : `${name}: ${missing}`, tests)
}

/** Runs a store for the tests of a suite, with buckets of these names. Its credentials are in the environment. */
export function useStore(buckets: Readonly<Record<string, { lock: boolean }>>): () => Store {
  let store: Store
  beforeAll(async () => {
    store = await Store.start()
    for (const [name, options] of Object.entries(buckets)) await store.makeBucket(name, options)
  })
  beforeEach(() => {
    for (const [variable, value] of Object.entries(store.env)) vi.stubEnv(variable, value)
  })
  afterAll(async () => {
    vi.unstubAllEnvs()
    await store.dispose()
  })
  return () => store
}

export class Store {
  readonly url: string
  readonly credentials: Credentials = { accessKeyId: 'test', secretAccessKey: 'hunter2-secret' }
  /** The variables that choose credentials: those of this store, and none of the caller's. */
  readonly env: Record<string, string | undefined> = {
    AWS_ACCESS_KEY_ID: this.credentials.accessKeyId,
    AWS_SECRET_ACCESS_KEY: this.credentials.secretAccessKey,
    AWS_SESSION_TOKEN: undefined,
    AWS_SHARED_CREDENTIALS_FILE: undefined,
    AWS_PROFILE: undefined,
  }
  readonly #dir: string
  readonly #port: number
  #child: ChildProcess

  private constructor(dir: string, port: number) {
    this.#dir = dir
    this.#port = port
    this.url = `http://127.0.0.1:${port}`
    this.#child = this.#spawn()
  }

  #spawn(): ChildProcess {
    const { accessKeyId, secretAccessKey } = this.credentials
    const env = { ...process.env, ROOT_ACCESS_KEY: accessKeyId, ROOT_SECRET_KEY: secretAccessKey }
    const backend = ['posix', '--versioning-dir', join(this.#dir, 'versions'), join(this.#dir, 'root')]
    const args = ['--port', `127.0.0.1:${this.#port}`, '--quiet', ...backend]
    return spawn(join(bin, 'versitygw'), args, { env, stdio: 'ignore' })
  }

  static async start(): Promise<Store> {
    const dir = await mkdtemp(join(tmpdir(), 'service-fs-s3-'))
    for (const name of ['root', 'versions']) await mkdir(join(dir, name))
    const store = new Store(dir, await freePort())
    await store.#ready()
    return store
  }

  async #ready(): Promise<void> {
    while (!(await this.#answers())) {
      if (hasExited(this.#child)) throw new Error('versitygw ended')
      await sleep(20)
    }
  }

  /** Ends the store without a chance to finish anything. */
  async kill(): Promise<void> {
    await end(this.#child, 'SIGKILL')
  }

  /** Starts the store again after `kill`. */
  async restart(): Promise<void> {
    this.#child = this.#spawn()
    await this.#ready()
  }

  async #answers(): Promise<boolean> {
    return fetch(this.url).then(
      async (response) => (await response.arrayBuffer()) !== undefined,
      () => false,
    )
  }

  async makeBucket(name: string, { lock }: { lock: boolean }): Promise<void> {
    await this.send('PUT', name, { 'x-amz-bucket-object-lock-enabled': String(lock) })
  }

  /** Sends a request; returns the body of its answer. */
  async send(
    method: string,
    path: string,
    headers: Record<string, string> = {},
    body?: Uint8Array,
  ): Promise<string> {
    const options = { ...this.credentials, service: 's3', region: 'us-east-1' }
    const signer = new AwsV4Signer({
      ...options,
      method,
      url: `${this.url}/${path}`,
      headers,
      ...(body === undefined ? {} : { body }),
    })
    const { url, headers: signed } = await signer.sign()
    const response = await fetch(url, { method, headers: signed, body: body ?? null })
    const text = await response.text()
    if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${text}`)
    return text
  }

  async dispose(): Promise<void> {
    await end(this.#child, 'SIGTERM')
    await rm(this.#dir, { recursive: true, force: true })
  }
}
