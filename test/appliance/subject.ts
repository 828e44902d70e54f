// The appliance of microkit/totebox.json as a server under test: a machine with its own data disk and key disk.
import { Asker } from '../envelopes/ask.ts'
import { freePort } from '../support/process.ts'
import type { Appliance } from '../../qemu/run.mjs'
import type { WireSubject } from '@service-fs/wire/conformance-tools'
import type { Bench } from './machine.ts'

const READY_MS = 90_000
/** At once; QEMU's user network drops connections beyond this number. */
const CONNECTIONS = 16

export class Machine implements WireSubject {
  readonly #bench: Bench
  readonly #image: string
  readonly #disk: string
  readonly #keys: string
  #appliance: Appliance | undefined
  #asker: Asker | undefined
  /** The local port forwarded to the appliance's port 80. */
  port = 0

  private constructor(bench: Bench, image: string, disk: string, keys: string) {
    this.#bench = bench
    this.#image = image
    this.#disk = disk
    this.#keys = keys
  }

  /** Resolves when the ledger accepts connections. */
  static async boot(bench: Bench, image: string, disk: string, keys: string): Promise<Machine> {
    const machine = new Machine(bench, image, disk, keys)
    await machine.#boot()
    return machine
  }

  async #boot(): Promise<void> {
    const port = await freePort()
    this.#appliance = this.#bench.boot({
      image: this.#image,
      disk: { file: this.#disk },
      keys: { file: this.#keys },
      forward: [{ host: port, guest: 80 }],
    })
    this.#asker = new Asker(port, CONNECTIONS)
    this.port = port
    await this.#appliance.until(/\[net\] acme has port 80\n/, READY_MS)
  }

  get console(): string {
    return this.#appliance?.console ?? ''
  }

  request: WireSubject['request'] = async (...question) => {
    if (this.#asker === undefined) throw new Error('the machine is off')
    return this.#asker.ask(...question)
  }

  /** Restarts cut the appliance's power: QEMU exits by itself, or by SIGKILL. */
  reopen = async (how: 'stop' | 'kill'): Promise<void> => {
    await this.off(how)
    await this.#boot()
  }

  off = async (how: 'stop' | 'kill'): Promise<void> => {
    this.#asker?.close()
    this.#asker = undefined
    await (how === 'stop' ? this.#appliance?.stop() : this.#appliance?.kill())
  }

  dispose = (): Promise<void> => this.off('kill')
}
