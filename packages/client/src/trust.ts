/** The keys that verify checkpoints: pinned keys from the caller, or the keys that the ledger itself publishes. */
import type { Checkpoint } from '@service-fs/tlog/checkpoint'
import { TYPE_ED25519, TYPE_MLDSA44_COSIGNATURE, formatVkey, parseVkey } from '@service-fs/tlog/note'
import { checkPolicy, parsePolicy, type Policy } from '@service-fs/tlog/policy'
import { messageOf } from '@service-fs/format/errors'
import { ClientError } from './errors.ts'
import { nativeCrypto } from '@service-fs/native/native'

/** The keys to pin. When both are absent, the ledger's own keys are used. */
export interface TrustOptions {
  /** Verifier keys of the log (C2SP vkeys), and of its audit sub-ledger if its keys are to be pinned too. */
  vkeys?: readonly string[]
  /** The content of a policy file (c2sp.org/tlog-policy): logs, witnesses and quorum. */
  policy?: Uint8Array
}

/** A checkpoint whose signatures verified. */
export interface Opened {
  checkpoint: Checkpoint
  /** The policy's names of the witnesses that cosigned. */
  witnesses: string[]
}

/** A set of keys, and the policy for cosignatures. */
export class Trust {
  /** Whether the caller gave the keys, so that they do not come from the ledger. */
  readonly pinned: boolean
  /** The source of the keys, for the report. */
  readonly from: string
  readonly #policy: Policy
  readonly #logOnly: Policy

  private constructor(policy: Policy, from: string, pinned: boolean) {
    this.pinned = pinned
    this.from = from
    this.#policy = policy
    this.#logOnly = { ...policy, quorum: 'none' }
  }

  /** Returns the pinned keys, or undefined when none are given. @throws ClientError `usage` for an invalid key or policy */
  static pinned({ vkeys = [], policy }: TrustOptions): Trust | undefined {
    if (vkeys.length === 0 && policy === undefined) return undefined
    try {
      for (const vkey of vkeys) checkLogKey(vkey)
      if (policy === undefined) return new Trust(logPolicy(vkeys), '--vkey', true)
      const parsed = parsePolicy(policy)
      return new Trust({ ...parsed, logs: [...parsed.logs, ...logPolicy(vkeys).logs] }, '--policy', true)
    } catch (error) {
      throw new ClientError('usage', messageOf(error))
    }
  }

  /**
   * Returns the keys that the ledger itself publishes. These keys show that the ledger is consistent, but not who signed it. @param from
   * the source of the keys, for the report
   * @throws ClientError `malformed`
   */
  static shown(vkeys: readonly string[], from: string): Trust {
    try {
      return new Trust(logPolicy(vkeys.filter(isLogKey)), from, false)
    } catch (error) {
      throw new ClientError('malformed', `${from}: ${messageOf(error)}`)
    }
  }

  /** Reports whether the keys include a key of the log with this origin. */
  knows(origin: string): boolean {
    return this.#policy.logs.some(({ vkey }) => vkey.name === origin)
  }

  /** Returns the vkeys of the log with this origin. */
  vkeysOf(origin: string): string[] {
    const logs = this.#policy.logs.filter(({ vkey }) => vkey.name === origin)
    return logs.map(({ vkey }) => formatVkey(vkey))
  }

  /** The policy that `checkProof` and the other proof functions take. */
  get policy(): Policy {
    return this.#policy
  }

  /** Verifies the log's signature on a checkpoint, and its origin if one is given. @throws ClientError `false` */
  open(note: string, origin?: string): Checkpoint {
    return open(this.#logOnly, note, origin).checkpoint
  }

  /** Verifies a published checkpoint: the log's signature, and the cosignatures that the policy requires. @throws ClientError `false` */
  openPublished(note: string, origin?: string): Opened {
    return open(this.#policy, note, origin)
  }

  /** Describes the keys on one line, for the report. */
  toString(): string {
    return this.pinned ? `key pinned by ${this.from}` : `self-consistent, key not pinned (from ${this.from})`
  }
}

/** Checks that a pinned key can verify checkpoints. @throws Error that names the key and its fault */
function checkLogKey(vkey: string): void {
  let isOfLog: boolean
  try {
    isOfLog = isLogKey(vkey)
  } catch (error) {
    throw new Error(`--vkey ${vkey}: ${messageOf(error)}`, { cause: error })
  }
  if (!isOfLog) throw new Error(`--vkey ${vkey}: expected a key of type 0x01 or 0x06`)
}

/** Reports whether a key can verify checkpoints. A ledger may publish keys of unknown algorithms. */
function isLogKey(vkey: string): boolean {
  return [TYPE_ED25519, TYPE_MLDSA44_COSIGNATURE].includes(parseVkey(vkey).type)
}

function logPolicy(vkeys: readonly string[]): Policy {
  const logs = vkeys.map((vkey) => ({ vkey: parseVkey(vkey) }))
  return { logs, witnesses: [], groups: [], quorum: 'none' }
}

function open(policy: Policy, note: string, origin: string | undefined): Opened {
  let result: Opened
  try {
    result = checkPolicy(policy, note, { crypto: nativeCrypto })
  } catch (error) {
    throw new ClientError('false', `checkpoint: ${messageOf(error)}`)
  }
  const found = result.checkpoint.origin
  if (origin === undefined || found === origin) return result
  throw new ClientError(
    'false',
    `checkpoint: expected origin ${JSON.stringify(origin)}, found ${JSON.stringify(found)}`,
  )
}
