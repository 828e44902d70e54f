/**
 * The signatures of authors that a ledger accepts, and the records that must have one. docs/signed-origin.md has the
 * rules.
 */
import { readFile } from 'node:fs/promises'
import type { Anchors } from '@service-fs/author/chain'
import { codeOf, messageOf } from '@service-fs/format/errors'
import { HostedError } from '@service-fs/http/errors'
import type { Authors } from '@service-fs/wire/authors'

export interface AuthorSettings {
  /** Absolute path of a PEM file with trust anchors: the certificates that a signature's chain must lead to. */
  readonly anchors: string
  /** The starts of the media types whose records must be signed, in lower case; the empty text is every type. */
  readonly require: readonly string[]
}

const START = /^[\w!#$&^.+-]+(?:\/[\w!#$&^.+-]*)?$/

/**
 * Returns the starts of media types in the form of {@link AuthorSettings}; undefined if no media type can begin with
 * one of them.
 */
export function requiredTypes(starts: readonly string[]): string[] | undefined {
  if (starts.every((start) => start === '*' || START.test(start)))
    return starts.map((start) => (start === '*' ? '' : start.toLowerCase()))
  return undefined
}

/** Returns the verifier of a ledger. Without settings, any certificate is accepted. @throws HostedError `authors` */
export async function openAuthors(settings: AuthorSettings | undefined): Promise<Authors> {
  const anchors = settings === undefined ? undefined : await readAnchors(settings.anchors)
  const starts = settings?.require ?? []
  return {
    requires(type) {
      if (starts.length === 0) return false
      const name = type.trim().toLowerCase()
      return starts.some((start) => name.startsWith(start))
    },
    // Load the verifier on first use, because most tenants never need it.
    async verify(payload, text) {
      const { signatureIn, verifySignature } = await import('@service-fs/author/verify')
      const { type, bytes } = signatureIn(text)
      return verifySignature(payload, type, bytes, anchors)
    },
  }
}

async function readAnchors(file: string): Promise<Anchors> {
  try {
    const bytes = await readFile(file)
    const { Anchors: Chain } = await import('@service-fs/author/chain')
    return Chain.fromPem(bytes.toString('latin1'))
  } catch (error) {
    // The message of a system error names the file.
    const what = codeOf(error)?.startsWith('E') === true ? '' : `${file}: `
    throw new HostedError('authors', `${what}${messageOf(error)}`, { cause: error })
  }
}
