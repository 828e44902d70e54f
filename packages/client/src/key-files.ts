import { TYPE_ED25519, TYPE_MLDSA44_COSIGNATURE, formatKeyId, parseVkey } from '@service-fs/tlog/note'
import { messageOf } from '@service-fs/format/errors'
import { ClientError } from './errors.ts'

/** The file below keys/ of the log's own key, without which a daemon does not open a ledger. */
export const LOG_KEY = 'ed25519.vkey'

const NAMES: ReadonlyMap<number, string> = new Map([
  [TYPE_ED25519, LOG_KEY],
  [TYPE_MLDSA44_COSIGNATURE, 'ml-dsa-44.vkey'],
])

/**
 * The keys of a ledger by the names of their files: the first of each algorithm by the algorithm, others by their key id.
 * @throws ClientError `malformed` for what is no vkey, or not named as the origin
 */
export function keyFiles(vkeys: readonly string[], origin: string): Map<string, string> {
  const files = new Map<string, string>()
  for (const text of vkeys) {
    const { name, type, keyId } = parse(text)
    if (name !== origin)
      throw new ClientError('malformed', `keys: expected keys named ${origin}, found ${JSON.stringify(name)}`)
    const byType = NAMES.get(type)
    const free = byType !== undefined && !files.has(byType)
    files.set(free ? byType : `key-${formatKeyId(keyId)}.vkey`, text)
  }
  return files
}

function parse(text: string): ReturnType<typeof parseVkey> {
  try {
    return parseVkey(text)
  } catch (error) {
    throw new ClientError('malformed', `keys: ${messageOf(error)}`)
  }
}
