/** Parses an answer of ListObjectsV2 with `encoding-type=url`: XML whose names have no markup in them. */
import { S3Error } from './errors.ts'

export interface ListingPage {
  /** The names of the objects. */
  names: string[]
  /** What the names of other objects begin with, up to the delimiter. */
  folders: string[]
  /** The token of the next page; undefined for the last one. */
  next: string | undefined
}

const ENTITIES: ReadonlyMap<string, string> = new Map([
  ['lt', '<'],
  ['gt', '>'],
  ['quot', '"'],
  ['apos', "'"],
  ['amp', '&'],
])

/** @throws S3Error `malformed` */
export function parseListing(xml: string): ListingPage {
  if (!/<ListBucketResult[\s>]/.test(xml) || !xml.trimEnd().endsWith('</ListBucketResult>')) throw malformed()
  const names = elements(xml, 'Contents').map((contents) => decodedName(element(contents, 'Key')))
  const folders = elements(xml, 'CommonPrefixes').map((prefix) => decodedName(element(prefix, 'Prefix')))
  const truncated = element(xml, 'IsTruncated')
  if (truncated === 'false') return { names, folders, next: undefined }
  const token = element(xml, 'NextContinuationToken')
  if (truncated !== 'true' || token === undefined || token === '') throw malformed()
  return { names, folders, next: unescaped(token) }
}

/** Returns the contents of elements that are not nested. Takes linear time, also for elements that do not end. */
function elements(xml: string, name: string): string[] {
  const [, ...parts] = xml.split(`<${name}>`)
  return parts.map((part) => {
    const end = part.indexOf(`</${name}>`)
    return end === -1 ? fail() : part.slice(0, end)
  })
}

function element(xml: string, name: string): string | undefined {
  return new RegExp(`<${name}>([^<]*)</${name}>`).exec(xml)?.[1]
}

function decodedName(key: string | undefined): string {
  try {
    if (key !== undefined) return decodeURIComponent(unescaped(key).replaceAll('+', ' '))
  } catch {
    // The name has an invalid escape.
  }
  throw malformed()
}

function unescaped(text: string): string {
  return text.replaceAll(/&(?:#(\d{1,7})|#x([0-9a-fA-F]{1,6})|([a-z]+));/g, (_, decimal, hex, name) => {
    if (name !== undefined) return ENTITIES.get(name as string) ?? fail()
    const point = decimal === undefined ? Number.parseInt(hex as string, 16) : Number(decimal)
    return point <= 0x10_ffff ? String.fromCodePoint(point) : fail()
  })
}

function fail(): never {
  throw malformed()
}

function malformed(): S3Error {
  return new S3Error('malformed', 's3: listing: expected a ListBucketResult, found something else')
}
