/** The signed attributes of a CAdES signature. */
import { elements, contentOf, isUniversal, oidOf, TAG, timeOf, children, type Node } from './asn1.ts'
import { hashOf, type HashName } from './algorithms.ts'
import { SignatureError } from './errors.ts'

const CONTENT_TYPE = '1.2.840.113549.1.9.3'
const MESSAGE_DIGEST = '1.2.840.113549.1.9.4'
const SIGNING_TIME = '1.2.840.113549.1.9.5'
const SIGNING_CERTIFICATE_V2 = '1.2.840.113549.1.9.16.2.47'
const DATA = '1.2.840.113549.1.7.1'

export interface SignedAttributes {
  readonly messageDigest: Uint8Array
  /** RFC 3339 with milliseconds. */
  readonly signingTime: string
  /** The digest of the signing certificate, by the hash {@link hash}. */
  readonly certificateHash: Uint8Array
  readonly hash: HashName
}

/** Reads the attributes that are required, each once with one value. @throws SignatureError */
export function checkedAttributes(node: Node): SignedAttributes {
  const found = new Map<string, readonly Node[]>()
  for (const attribute of children(node, 'signedAttrs')) {
    const [type, values] = elements(attribute, TAG.sequence, 'signedAttrs')
    const oid = oidOf(type, 'signedAttrs')
    if (found.has(oid)) throw new SignatureError(`signedAttrs: expected the attribute ${oid} once`)
    found.set(oid, elements(values, TAG.set, 'signedAttrs'))
  }
  const only = (oid: string, name: string): Node => {
    const values = found.get(oid)
    const [value] = values ?? []
    if (value === undefined || values?.length !== 1)
      throw new SignatureError(
        `signedAttrs: expected ${name} with one value, found ${values?.length ?? 'none'}`,
      )
    return value
  }
  if (oidOf(only(CONTENT_TYPE, 'content-type'), 'content-type') !== DATA)
    throw new SignatureError('content-type: expected the type data, found another type')
  return {
    messageDigest: contentOf(only(MESSAGE_DIGEST, 'message-digest'), TAG.octetString, 'message-digest'),
    signingTime: timeOf(only(SIGNING_TIME, 'signing-time'), 'signing-time'),
    ...certificateId(only(SIGNING_CERTIFICATE_V2, 'signing-certificate-v2')),
  }
}

/** Reads the first ESSCertIDv2, which names the signing certificate (RFC 5035 §3). */
function certificateId(node: Node): { certificateHash: Uint8Array; hash: HashName } {
  const what = 'signing-certificate-v2'
  const [ids] = elements(node, TAG.sequence, what)
  const [id] = elements(ids, TAG.sequence, what)
  const [first, second] = elements(id, TAG.sequence, what)
  // The hash algorithm is absent when it is SHA-256.
  if (isUniversal(first, TAG.octetString))
    return { certificateHash: contentOf(first, TAG.octetString, what), hash: 'sha256' }
  const hash = hashOf(elements(first, TAG.sequence, what)[0], what)
  return { certificateHash: contentOf(second, TAG.octetString, what), hash }
}
