/** The place of a ledger in a store: `s3://bucket/prefix?region=…&endpoint=…`. */
import { quoted } from '@service-fs/format/visible'
import { S3Error } from './errors.ts'

export interface S3Place {
  bucket: string
  /** The names of all objects of the ledger begin with this and a slash; without a slash at either end, perhaps empty. */
  prefix: string
  region: string
  /** The URL of the bucket, with a slash at the end. */
  url: string
}

const BUCKET = /^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$/
/** Characters that need no escape in a URL, so that each program signs the same name. */
const SEGMENT = /^[A-Za-z0-9_.~-]+$/
const REGION = /^[a-z0-9-]{1,40}$/
const PARAMETERS = new Set(['region', 'endpoint'])
const MAX_PREFIX_LENGTH = 512

export function isS3Place(text: string): boolean {
  return text.startsWith('s3://')
}

/** @throws S3Error `usage` that names the part, what was expected and what was found */
export function parseS3Place(text: string): S3Place {
  const [, bucket = '', path = '', query = ''] =
    /^s3:\/\/([^/?#]*)\/?([^?#]*)(?:\?([^#]*))?$/.exec(text) ?? []
  if (!BUCKET.test(bucket) || bucket.includes('..'))
    throw usage('bucket', '3 to 63 of a-z, 0-9, - and .', bucket)
  const prefix = parsePrefix(path)
  const parameters = parseParameters(query)
  const region = parameters.get('region') ?? 'us-east-1'
  if (!REGION.test(region)) throw usage('region', 'a name such as eu-central-1', region)
  return { bucket, prefix, region, url: bucketUrl(bucket, region, parameters.get('endpoint')) }
}

function parsePrefix(path: string): string {
  const prefix = path.replace(/\/$/, '')
  const segments = prefix === '' ? [] : prefix.split('/')
  const isValid = segments.every((segment) => SEGMENT.test(segment) && segment !== '.' && segment !== '..')
  if (!isValid || prefix.length > MAX_PREFIX_LENGTH)
    throw usage('prefix', `names of A-Z, a-z, 0-9, _, ., ~ and - between slashes`, prefix)
  return prefix
}

function parseParameters(query: string): Map<string, string> {
  const found = new Map<string, string>()
  for (const [name, value] of new URLSearchParams(query)) {
    if (!PARAMETERS.has(name) || found.has(name))
      throw usage('parameters', 'region and endpoint, each at most once', name)
    found.set(name, value)
  }
  return found
}

/** AWS names the bucket in the host. Other stores rarely have a host name for each bucket, so theirs is in the path. */
function bucketUrl(bucket: string, region: string, endpoint: string | undefined): string {
  if (endpoint === undefined) {
    // The certificate of AWS covers no bucket name with a dot.
    const host = `s3.${region}.amazonaws.com`
    return bucket.includes('.') ? `https://${host}/${bucket}/` : `https://${bucket}.${host}/`
  }
  const url = URL.canParse(endpoint) ? new URL(endpoint) : undefined
  const isPlain = url !== undefined && url.username === '' && url.password === '' && url.search === ''
  if (!isPlain || !/^https?:$/.test(url.protocol) || url.hash !== '')
    // The value may contain a password, so the message does not show it.
    throw new S3Error('usage', 's3: endpoint: expected an http or https URL without user and query')
  return `${url.href.replace(/\/$/, '')}/${bucket}/`
}

function usage(part: string, expected: string, found: string): S3Error {
  return new S3Error('usage', `s3: ${part}: expected ${expected}, found ${quoted(found.slice(0, 100))}`)
}
