import { parseCheckpointText, type Checkpoint } from './checkpoint.ts'
import { pureCodec, hexEncode } from './codec.ts'
import { TlogError, quote } from './errors.ts'
import { verifierFromVkey, type KeyVerifier } from './keys.ts'
import { parseDecimal } from './math.ts'
import {
  TYPE_ED25519,
  TYPE_ED25519_COSIGNATURE,
  TYPE_MLDSA44_COSIGNATURE,
  openNote,
  parseVkey,
  type Vkey,
} from './note.ts'
import { type KeyCrypto } from './scheme.ts'

// Trust policies: c2sp.org/tlog-policy. A policy lists the accepted logs, and the witnesses that must cosign.
// Names and URLs are octets: each character of a string is one octet (U+0000 to U+00FF).

/** A log whose checkpoints the policy accepts. */
export interface PolicyLog {
  /** The key of the log. Its name is the origin. */
  vkey: Vkey
  url?: string
}

/** A witness. */
export interface PolicyWitness {
  /** The name in the policy, as octets; not the name of the key. */
  name: string
  vkey: Vkey
  url?: string
}

/** A group of witnesses and groups. It has cosigned if `threshold` of its members have. */
export interface PolicyGroup {
  name: string
  threshold: number
  members: string[]
}

/** A trust policy. */
export interface Policy {
  logs: PolicyLog[]
  witnesses: PolicyWitness[]
  /** In order of definition: members precede their groups. */
  groups: PolicyGroup[]
  /** The name of a witness or a group, or `none`. */
  quorum: string
}

/** The longest policy that is accepted, in octets. */
export const MAX_POLICY_SIZE = 1_000_000

const LOG_TYPES = [TYPE_ED25519, TYPE_MLDSA44_COSIGNATURE]
const WITNESS_TYPES = [TYPE_ED25519_COSIGNATURE, TYPE_MLDSA44_COSIGNATURE]

/**
 * Parses a policy file, given as bytes or as a string with one character for each octet (Latin-1). Every line ends in a newline.
 * The threshold of a group is decimal without leading zeros.
 * @throws TlogError `policy`, whose message has the line number
 */
export function parsePolicy(text: Uint8Array | string): Policy {
  const octets = typeof text === 'string' ? text : latin1(text)
  checkOctets(octets)
  const reader = new PolicyReader()
  const lines = octets.split('\n')
  if (lines.pop() !== '')
    throw new TlogError('policy', 'expected a newline at the end of the policy, found none')
  lines.forEach((line, i) => {
    try {
      reader.line(line)
    } catch (cause) {
      if (!(cause instanceof TlogError)) throw cause
      throw new TlogError('policy', `line ${i + 1}: ${cause.message}`, { cause })
    }
  })
  return reader.policy()
}

function latin1(bytes: Uint8Array): string {
  let text = ''
  for (let i = 0; i < bytes.length; i += 4096) text += String.fromCharCode(...bytes.subarray(i, i + 4096))
  return text
}

const NOT_OCTET = /[^\t\n\u0020-\u007e\u0080-\u00ff]/

function checkOctets(octets: string): void {
  if (octets.length > MAX_POLICY_SIZE) {
    throw new TlogError('policy', `expected at most ${MAX_POLICY_SIZE} octets, found ${octets.length}`)
  }
  const bad = NOT_OCTET.exec(octets)
  if (bad !== null) {
    const line = octets.slice(0, bad.index).split('\n').length
    throw new TlogError(
      'policy',
      `line ${line}: expected octets 09, 0A, 20-7E, 80-FF, found ${quote(bad[0])}`,
    )
  }
}

function refuse(expected: string, found: string): never {
  throw new TlogError('policy', `expected ${expected}, found ${quote(found)}`)
}

/** Builds a policy from its lines. */
class PolicyReader {
  readonly #logs: PolicyLog[] = []
  readonly #witnesses: PolicyWitness[] = []
  readonly #groups: PolicyGroup[] = []
  readonly #logKeys = new Set<string>()
  readonly #witnessKeys = new Set<string>()
  readonly #names = new Set<string>(['none'])
  readonly #members = new Set<string>()
  #quorum: string | undefined

  line(line: string): void {
    const [keyword, ...items] = line.split(/[ \t]+/).filter((item) => item !== '')
    if (keyword === undefined || keyword.startsWith('#')) return
    if (keyword === 'log') this.#log(items)
    else if (keyword === 'witness') this.#witness(items)
    else if (keyword === 'group') this.#group(items)
    else if (keyword === 'quorum') this.#setQuorum(items)
    else refuse('log, witness, group or quorum', keyword)
  }

  policy(): Policy {
    if (this.#quorum === undefined) throw new TlogError('policy', 'expected a quorum line, found none')
    return { logs: this.#logs, witnesses: this.#witnesses, groups: this.#groups, quorum: this.#quorum }
  }

  #log(items: string[]): void {
    const [key, url] = items
    if (key === undefined || items.length > 2) refuse('log <vkey> [<url>]', items.join(' '))
    const vkey = this.#vkey(key, LOG_TYPES, this.#logKeys)
    this.#logs.push(url === undefined ? { vkey } : { vkey, url })
  }

  #witness(items: string[]): void {
    const [name, key, url] = items
    if (name === undefined || key === undefined || items.length > 3) {
      refuse('witness <name> <vkey> [<url>]', items.join(' '))
    }
    this.#define(name)
    const vkey = this.#vkey(key, WITNESS_TYPES, this.#witnessKeys)
    this.#witnesses.push(url === undefined ? { name, vkey } : { name, vkey, url })
  }

  #group(items: string[]): void {
    const [name, count, ...members] = items
    if (name === undefined || count === undefined || members.length === 0) {
      refuse('group <name> all|any|<k> <name>...', items.join(' '))
    }
    for (const member of members) {
      if (member === 'none') refuse('a witness or a group as member', member)
      this.#checkDefined(member)
      if (this.#members.has(member)) refuse('a name that is not yet a member', member)
      this.#members.add(member)
    }
    const threshold = count === 'all' ? members.length : count === 'any' ? 1 : parseDecimal(count)
    if (threshold === undefined || threshold < 1 || threshold > members.length) {
      refuse(`all, any or a number from 1 to ${members.length}`, count)
    }
    this.#define(name)
    this.#groups.push({ name, threshold, members })
  }

  #setQuorum(items: string[]): void {
    const [name] = items
    if (name === undefined || items.length > 1) refuse('quorum <name>', items.join(' '))
    if (this.#quorum !== undefined) refuse('one quorum line', `a second one, ${name}`)
    this.#checkDefined(name)
    this.#quorum = name
  }

  #define(name: string): void {
    if (this.#names.has(name)) refuse('a name that is not in use', name)
    this.#names.add(name)
  }

  #checkDefined(name: string): void {
    if (!this.#names.has(name)) refuse('a name defined on an earlier line', name)
  }

  /** Parses a vkey. Rejects a public key that is in `seen`, even with another name, key id or type; otherwise adds it to `seen`. */
  #vkey(text: string, types: readonly number[], seen: Set<string>): Vkey {
    const vkey = parseVkey(pureCodec.utf8Decode(pureCodec.asciiEncode(text)))
    if (!types.includes(vkey.type)) {
      const expected = types.map((type) => `0x0${type}`).join(' or ')
      refuse(`a key of type ${expected}`, `0x${hexEncode(new Uint8Array([vkey.type]))}`)
    }
    const key = hexEncode(vkey.publicKey)
    if (seen.has(key)) refuse('a public key that is not yet listed', text)
    seen.add(key)
    return vkey
  }
}

/** The result of {@link checkPolicy}. */
export interface PolicyResult {
  checkpoint: Checkpoint
  /** The key of the log that signed. */
  logKey: Vkey
  /** Names of the witnesses that cosigned, in the order of the policy. */
  witnesses: string[]
  /** The cosignatures of these witnesses, with their times in POSIX seconds. */
  cosignatures: { witness: string; time: number }[]
}

/** Options of {@link checkPolicy}. */
export interface CheckOptions {
  crypto?: KeyCrypto
  /** Logs to accept besides those of the policy. */
  logs?: readonly PolicyLog[]
}

/**
 * Verifies a signed checkpoint against a policy: an accepted log must have signed it under its own origin, and the quorum must
 * have cosigned it.
 * @throws what openNote and parseCheckpointText throw; TlogError `origin` if no accepted log of that origin signed; TlogError
 * `quorum`
 */
export function checkPolicy(policy: Policy, note: string, options: CheckOptions = {}): PolicyResult {
  const logs = [...policy.logs, ...(options.logs ?? [])]
  const verifiers = new Map<string, KeyVerifier>()
  for (const { vkey } of [...logs, ...policy.witnesses]) {
    verifiers.set(keyOf(vkey), verifierFromVkey(vkey, options.crypto))
  }
  const { text, signatures } = openNote(note, [...verifiers.values()])
  const checkpoint = parseCheckpointText(text)
  const signed = new Map<string, Uint8Array>()
  for (const { vkey } of [...logs, ...policy.witnesses]) {
    const found = signatures.find(
      (signature) => signature.keyId === vkey.keyId && signature.name === vkey.name,
    )
    if (found !== undefined) signed.set(keyOf(vkey), found.signature)
  }
  const log = logs.find(({ vkey }) => vkey.name === checkpoint.origin && signed.has(keyOf(vkey)))
  if (log === undefined) {
    throw new TlogError(
      'origin',
      `expected a signature by an accepted log, found none of ${quote(checkpoint.origin)}`,
    )
  }
  const cosignatures: { witness: string; time: number }[] = []
  for (const { name, vkey } of policy.witnesses) {
    const signature = signed.get(keyOf(vkey))
    const time = signature === undefined ? undefined : verifiers.get(keyOf(vkey))!.cosignedAt(signature)
    if (time !== undefined) cosignatures.push({ witness: name, time })
  }
  const witnesses = cosignatures.map(({ witness }) => witness)
  checkQuorum(policy, witnesses)
  return { checkpoint, logKey: log.vkey, witnesses, cosignatures }
}

/** Identifies a key by all its parts, so that openNote sees two keys with the same name and id, and rejects them. */
function keyOf(vkey: Vkey): string {
  return `${vkey.name}+${vkey.keyId}+${vkey.type}+${hexEncode(vkey.publicKey)}`
}

/** Checks that these witnesses, by their names in the policy, form the quorum. @throws TlogError `quorum` */
export function checkQuorum(policy: Policy, witnesses: readonly string[]): void {
  const witnessed = new Set<string>(['none'])
  for (const { name } of policy.witnesses) if (witnesses.includes(name)) witnessed.add(name)
  for (const { name, threshold, members } of policy.groups) {
    if (members.filter((member) => witnessed.has(member)).length >= threshold) witnessed.add(name)
  }
  if (!witnessed.has(policy.quorum)) {
    throw new TlogError(
      'quorum',
      `expected the quorum ${quote(policy.quorum)}, found ${witnesses.length} cosignatures`,
    )
  }
}
