// The suites of storage and ledger inside QuickJS, over the real storage server. Each case becomes one test.

import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { nativeCrypto } from '@service-fs/native/native'
import type { PsdbChannel } from '@service-fs/engine-host/psdb/channel'
import { Engine } from '@service-fs/engine-host/engine'
import { MACHINE } from '@service-fs/engine-host/machine'
import { repoRoot } from '../support/root.ts'
import { REGION_BYTES } from './cores.ts'
import { noPsdb, psdbPlace, type PsdbPlace } from './psdb.ts'
import { ENGINE, nothing, script } from './quickjs.ts'

/** The suites' script in an engine, and its current disk. */
class Laboratory {
  names: string[] = []
  #engine: Engine | undefined
  #place: PsdbPlace | undefined
  #channel: PsdbChannel | undefined
  #done: (problem?: string) => void = () => undefined

  async open(): Promise<this> {
    const engine = await Engine.create(ENGINE)
    this.#engine = engine
    engine.define('host', {
      ...MACHINE,
      psdbPut: nothing((given) => this.#channel?.put(given.number(0), Uint8Array.from(given.bytes(1)))),
      psdbGet: (given) => this.#channel?.get(given.number(0), given.number(1)),
      psdbSend: nothing((given) => this.#channel?.send(Uint8Array.from(given.bytes(0)))),
    })
    engine.define('lab', {
      connect: nothing(
        (given) =>
          void this.#connect(given.number(0) === 1).catch((error: unknown) => this.#done(String(error))),
      ),
      done: nothing((given) => this.#done(given.optionalText(0))),
      ed25519Sign: (given) =>
        nativeCrypto.ed25519Sign?.(given.bytes(0), Buffer.from(given.bytes(1))) as Uint8Array,
      ed25519PublicKey: (given) => nativeCrypto.ed25519PublicKey?.(Buffer.from(given.bytes(0))),
      regionBytes: () => REGION_BYTES,
      names: nothing((given) => (this.names = JSON.parse(given.text(0)) as string[])),
    })
    engine.evaluate(await script(join(repoRoot, 'test/envelopes/suites.ts')), 'suites.js')
    engine.bind('serviceFs')
    return this
  }

  /** Runs a case; returns undefined, or the error. */
  run(number: number): Promise<string | undefined> {
    return new Promise((resolve) => {
      this.#done = resolve
      this.#engine?.call('run', number)
    })
  }

  async #connect(onNewDisk: boolean): Promise<void> {
    this.#channel = undefined
    if (onNewDisk) {
      await this.dispose()
      this.#place = await psdbPlace()
    } else {
      await this.#place?.drop()
    }
    const channel = await this.#place?.channel()
    this.#channel = channel
    channel?.listen({
      received: (message) => {
        if (this.#channel === channel) this.#engine?.call('psdb', message)
      },
      failed: () => undefined,
    })
    this.#engine?.call('connected')
  }

  async dispose(): Promise<void> {
    await this.#place?.drop()
    await this.#place?.dispose()
    this.#place = undefined
  }
}

describe.skipIf(noPsdb !== undefined)('in QuickJS', async () => {
  if (noPsdb !== undefined) return
  const laboratory = await new Laboratory().open()
  afterAll(() => laboratory.dispose())
  for (const [number, name] of laboratory.names.entries()) {
    it(name, async () => expect(await laboratory.run(number)).toBe(undefined))
  }
})
