/** The trust anchors that the user names for the signatures of authors. */
import type { Command } from 'commander'
import type { SignatureVerifier } from '@service-fs/client/companions'
import { ClientError } from '@service-fs/client/errors'
import { messageOf } from '@service-fs/format/errors'
import { readInput } from './options.ts'

export interface AnchorOptions {
  authorAnchors?: string
}

/** Adds `--author-anchors`. */
export function anchorOptions(command: Command): Command {
  return command.option(
    '--author-anchors <file>',
    'certificates in PEM: the signature of each signed record must lead to one of them',
  )
}

/**
 * Returns the verifier of authors' signatures. With `--author-anchors` it rejects signatures that lead to none of the certificates in the
 * file. Without that option, it loads its code when it verifies the first signature. @throws ClientError `file`
 */
export async function authorVerifier({ authorAnchors }: AnchorOptions): Promise<SignatureVerifier> {
  const anchors = authorAnchors === undefined ? undefined : await readAnchors(authorAnchors)
  return async (payload, type, signature) => {
    const { verifySignature } = await import('@service-fs/author/verify')
    return verifySignature(payload, type, signature, anchors)
  }
}

async function readAnchors(file: string) {
  const pem = await readInput(file)
  const { Anchors } = await import('@service-fs/author/chain')
  try {
    return Anchors.fromPem(pem.toString('latin1'))
  } catch (error) {
    throw new ClientError('file', `${file}: ${messageOf(error)}`)
  }
}
