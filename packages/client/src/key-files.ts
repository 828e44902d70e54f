import { TYPE_ED25519, TYPE_MLDSA44_COSIGNATURE, formatKeyId, parseVkey } from '@service-fs/tlog/note'
import { messageOf } from '@service-fs/format/errors'
import { ClientError } from './errors.ts'
import type { Trust } from './trust.ts'

/** The name, below keys/, of the log's own key. A daemon does not open a ledger without this file. */
export const LOG_KEY = 'ed25519.vkey'

const NAMES: ReadonlyMap<number, string> = new Map([
  [TYPE_ED25519, LOG_KEY],
  [TYPE_MLDSA44_COSIGNATURE, 'ml-dsa-44.vkey'],
])

/**
 * Returns a ledger's vkeys by file name. The file of the first key of each algorithm is named after the algorithm. Any other file is named
 * after the key id.
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

/**
 * Returns the vkeys that a ledger publishes, by file name. If the ledger publishes no keys, as a static host may, returns the pinned keys.
 * @throws ClientError like `shown`; `malformed`
 */
export async function ownKeyFiles(
  shown: () => Promise<string[]>,
  trust: Trust,
  origin: string,
): Promise<Map<string, string>> {
  try {
    return keyFiles(await shown(), origin)
  } catch (error) {
    if (!trust.pinned || !(error instanceof ClientError) || error.status !== 404) throw error
    return keyFiles(trust.vkeysOf(origin), origin)
  }
}

function parse(text: string): ReturnType<typeof parseVkey> {
  try {
    return parseVkey(text)
  } catch (error) {
    throw new ClientError('malformed', `keys: ${messageOf(error)}`)
  }
}
