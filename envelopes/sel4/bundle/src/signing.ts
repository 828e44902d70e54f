/** Signing and verifying checkpoints. The holder of the key signs outside of the bundle; the machine's Ed25519 verifies. */
import type { Codec } from '@service-fs/tlog/codec'
import type { Hasher } from '@service-fs/tlog/hash'
import { checkNoteText, parseVkey, TYPE_ED25519, type Signer, type Verifier } from '@service-fs/tlog/note'
import { exactBuffer } from './codec.ts'
import type { Host } from './host.ts'

/** Requests signatures from the machine. */
export class Signatures {
  readonly #host: Host
  readonly #waiting = new Map<number, { resolve(lines: string): void; reject(error: Error): void }>()
  #ids = 0

  constructor(host: Host) {
    this.#host = host
  }

  /** Returns the signer of the ledger `ledger` (0: main, 1: audit). */
  signer(ledger: number, vkey: string): Signer {
    return {
      vkey,
      sign: (text) =>
        new Promise((resolve, reject) => {
          const id = ++this.#ids
          this.#waiting.set(id, { resolve, reject })
          this.#host.sign(ledger, id, text)
        }),
    }
  }

  signed(id: number, lines: string | undefined, error: string | undefined): void {
    const waiting = this.#waiting.get(id)
    this.#waiting.delete(id)
    if (lines === undefined) waiting?.reject(new Error(error ?? 'the signer gave no reason'))
    else waiting?.resolve(lines)
  }
}

/** Returns the verifier of an Ed25519 vkey. @throws TlogError `vkey` */
export function hostVerifier(host: Host, vkey: string, hasher: Hasher, codec: Codec): Verifier {
  const { name, keyId, type, publicKey } = parseVkey(vkey, hasher, codec)
  if (type !== TYPE_ED25519) throw new Error(`${name}: expected an Ed25519 key, found type ${type}`)
  const key = exactBuffer(publicKey)
  return {
    name,
    keyId,
    verify(text, signature) {
      try {
        checkNoteText(text)
        if (signature.length !== 64) return false
        return host.ed25519Verify(key, exactBuffer(codec.utf8Encode(text)), exactBuffer(signature))
      } catch {
        return false
      }
    },
  }
}
