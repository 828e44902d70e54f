// Checkpoints: signing and verifying with Ed25519.

import { nativeCrypto } from '@service-fs/native/native'
import { formatCheckpointText, openCheckpoint } from '@service-fs/tlog/checkpoint'
import { formatSignerKey, signerFromKey, verifierFromVkey } from '@service-fs/tlog/keys'
import { signNote } from '@service-fs/tlog/note'
import { bytesOf } from './data.ts'
import { equals } from './expect.ts'
import type { Micro } from './measure.ts'

const origin = 'bench.invalid/log'
const signer = signerFromKey(formatSignerKey({ name: origin, type: 1, seed: bytesOf(32) }), nativeCrypto)
const verifiers = [verifierFromVkey(signer.vkey, nativeCrypto)]
const root = Buffer.from(bytesOf(32)).toString('base64')
const text = formatCheckpointText({ origin, size: 1_000_000, root, extensions: [] })
// Ed25519 is deterministic (RFC 8032), so signing again must give the same note.
const note = signNote(text, [signer])

export const micros: Micro[] = await note.then((signed) => [
  {
    name: 'checkpoint: sign',
    operations: 1,
    run: () => signNote(text, [signer]),
    check: equals(signed),
  },
  {
    name: 'checkpoint: verify',
    operations: 1,
    run: () => openCheckpoint(signed, verifiers, origin),
    check: (result) => equals(1_000_000)((result as ReturnType<typeof openCheckpoint>).checkpoint.size),
  },
])
