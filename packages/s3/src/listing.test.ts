import { describe, expect, it } from 'vitest'
import { parseListing } from './listing.ts'

const listing = (inner: string): string =>
  `<?xml version="1.0"?><ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">${inner}</ListBucketResult>\n`

describe('a listing', () => {
  it('has decoded names and the token of the next page', () => {
    const contents = '<Contents><Key>a%2Fb+c%26</Key><Size>1</Size></Contents>'
    const folders = '<CommonPrefixes><Prefix>a%2Fd%2F</Prefix></CommonPrefixes>'
    expect(parseListing(listing(`<IsTruncated>false</IsTruncated>${contents}${folders}`))).toEqual({
      names: ['a/b c&'],
      folders: ['a/d/'],
      next: undefined,
    })
    const more =
      '<IsTruncated>true</IsTruncated><NextContinuationToken>a&amp;&#x62;&#99;</NextContinuationToken>'
    expect(parseListing(listing(more))).toEqual({ names: [], folders: [], next: 'a&bc' })
  })

  it.each([
    '',
    '<Error><Code>NoSuchBucket</Code></Error>',
    '<ListBucketResult><IsTruncated>false</IsTruncated>',
    listing(''),
    listing('<IsTruncated>true</IsTruncated>'),
    listing('<IsTruncated>false</IsTruncated><Contents><Size>1</Size></Contents>'),
    listing('<IsTruncated>false</IsTruncated><Contents><Key>%zz</Key></Contents>'),
    listing('<IsTruncated>false</IsTruncated><CommonPrefixes></CommonPrefixes>'),
    listing('<IsTruncated>true</IsTruncated><NextContinuationToken>&evil;</NextContinuationToken>'),
    listing('<IsTruncated>true</IsTruncated><NextContinuationToken>&constructor;</NextContinuationToken>'),
    listing('<IsTruncated>true</IsTruncated><NextContinuationToken>&#9999999;</NextContinuationToken>'),
  ])('is refused if it is malformed: %j', (xml) => {
    expect(() => parseListing(xml)).toThrow('s3: listing: expected a ListBucketResult, found something else')
  })

  it('is refused in linear time if none of its many elements ends', () => {
    for (const name of ['Contents', 'CommonPrefixes'])
      expect(() => parseListing(listing(`<${name}>`.repeat(200_000)))).toThrow('expected a ListBucketResult')
  })
})
