/** Whose signatures count: keys given by the user (pinned), or those that the ledger itself shows. */
import type { Checkpoint } from '@service-fs/tlog/checkpoint'
import { TYPE_ED25519, TYPE_MLDSA44_COSIGNATURE, formatVkey, parseVkey } from '@service-fs/tlog/note'
import { checkPolicy, parsePolicy, type Policy } from '@service-fs/tlog/policy'
import { messageOf } from '@service-fs/format/errors'
import { ClientError } from './errors.ts'
import { nativeCrypto } from '@service-fs/native/native'

export interface TrustOptions {
  /** Verifier keys of the log (C2SP vkeys); its sub-ledger's too, when that is to be pinned. */
  vkeys?: readonly string[]
  /** The bytes of a tlog-policy file. */
  policy?: Uint8Array
}

/** What a published checkpoint was found to be. */
export interface Opened {
  checkpoint: Checkpoint
  /** Names, in the policy, of the witnesses that cosigned. */
  witnesses: string[]
}

export class Trust {
  /** The keys came from outside the ledger. */
  readonly pinned: boolean
  /** Where the keys came from, for the report. */
  readonly from: string
  readonly #policy: Policy
  readonly #logOnly: Policy

  private constructor(policy: Policy, from: string, pinned: boolean) {
    this.pinned = pinned
    this.from = from
    this.#policy = policy
    this.#logOnly = { ...policy, quorum: 'none' }
  }

  /** The trust that the user gave; undefined when none. @throws ClientError `usage` */
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

  /** The keys that the ledger itself shows: they prove that it is consistent, not whose it is. @throws ClientError `malformed` */
  static shown(vkeys: readonly string[], from: string): Trust {
    try {
      return new Trust(logPolicy(vkeys.filter(isLogKey)), from, false)
    } catch (error) {
      throw new ClientError('malformed', `${from}: ${messageOf(error)}`)
    }
  }

  /** Whether there is a key of this origin's log. */
  knows(origin: string): boolean {
    return this.#policy.logs.some(({ vkey }) => vkey.name === origin)
  }

  /** The log keys of this origin. */
  vkeysOf(origin: string): string[] {
    const logs = this.#policy.logs.filter(({ vkey }) => vkey.name === origin)
    return logs.map(({ vkey }) => formatVkey(vkey))
  }

  /** The policy, for what takes one. */
  get policy(): Policy {
    return this.#policy
  }

  /** Opens a checkpoint that the log signed. @throws ClientError `false` */
  open(note: string, origin?: string): Checkpoint {
    return open(this.#logOnly, note, origin).checkpoint
  }

  /** Opens a published checkpoint: signed by the log, and cosigned as the policy wants it. @throws ClientError `false` */
  openPublished(note: string, origin?: string): Opened {
    return open(this.#policy, note, origin)
  }

  /** One line for the report. */
  toString(): string {
    return this.pinned ? `key pinned by ${this.from}` : `self-consistent, key not pinned (from ${this.from})`
  }
}

/** Whether a log's checkpoints may be checked with this key; a ledger may show keys of algorithms to come. */
/** @throws Error that names the option, the key, and what is wrong with it */
function checkLogKey(vkey: string): void {
  let isOfLog: boolean
  try {
    isOfLog = isLogKey(vkey)
  } catch (error) {
    throw new Error(`--vkey ${vkey}: ${messageOf(error)}`, { cause: error })
  }
  if (!isOfLog) throw new Error(`--vkey ${vkey}: expected a key of type 0x01 or 0x06`)
}

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
