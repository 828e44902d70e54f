import { TYPE_ED25519, TYPE_MLDSA44_COSIGNATURE, formatKeyId, parseVkey } from '@service-fs/tlog/note'
import { messageOf } from '@service-fs/format/errors'
import { ClientError } from './errors.ts'

/** The name, below keys/, of the log's own key. A daemon does not open a ledger without this file. */
export const LOG_KEY = 'ed25519.vkey'

const NAMES: ReadonlyMap<number, string> = new Map([
  [TYPE_ED25519, LOG_KEY],
  [TYPE_MLDSA44_COSIGNATURE, 'ml-dsa-44.vkey'],
])

/**
 * Returns a ledger's vkeys by file name. The first key of each algorithm is named after the algorithm, any other after its key id.
 * @throws ClientError `malformed` for an invalid vkey, or one whose name is not the origin
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
