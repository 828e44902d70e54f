import { describe, expect, it } from 'vitest'
import { parseS3Place } from './place.ts'

describe('the place of a ledger in a store', () => {
  it('has the bucket in the host on AWS, and in the path of any other endpoint', () => {
    expect(parseS3Place('s3://acme/a/b?region=eu-central-1')).toEqual({
      bucket: 'acme',
      prefix: 'a/b',
      region: 'eu-central-1',
      url: 'https://acme.s3.eu-central-1.amazonaws.com/',
    })
    expect(parseS3Place('s3://a.b').url).toBe('https://s3.us-east-1.amazonaws.com/a.b/')
    const place = parseS3Place('s3://acme/x/?endpoint=http%3A%2F%2F127.0.0.1%3A7070%2F')
    expect(place).toMatchObject({ prefix: 'x', url: 'http://127.0.0.1:7070/acme/' })
  })

  it.each([
    ['s3://', 'bucket: expected'],
    ['s3://Acme/x', 'bucket: expected 3 to 63 of a-z, 0-9, - and ., found Acme'],
    ['s3://a..b/x', 'bucket: expected'],
    ['s3://acme/a//b', 'prefix: expected'],
    ['s3://acme/a/../b', 'prefix: expected'],
    ['s3://acme/a+b', 'prefix: expected'],
    ['s3://acme/a#b', 'bucket: expected'],
    [`s3://acme/${'a'.repeat(513)}`, 'prefix: expected'],
    ['s3://acme/x?region=EU/', 'region: expected a name such as eu-central-1, found EU/'],
    ['s3://acme/x?region=a&region=b', 'parameters: expected'],
    ['s3://acme/x?secret=s', 'parameters: expected region and endpoint, each at most once, found secret'],
    ['s3://acme/x?endpoint=ftp://host', 'endpoint: expected'],
  ])('refuses %s', (text, message) => {
    expect(() => parseS3Place(text)).toThrow(message)
  })

  it('shows no password of an endpoint', () => {
    expect(() => parseS3Place('s3://acme/x?endpoint=https://user:hunter2@host')).toThrow(
      's3: endpoint: expected an http or https URL without user and query',
    )
  })
})
