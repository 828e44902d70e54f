import { describe, expect, it } from 'vitest'
import { parseMicroOptions, TOPICS } from './options.ts'

describe('parseMicroOptions', () => {
  it('measures every topic in five rounds by default', () =>
    expect(parseMicroOptions([])).toMatchObject({ topics: TOPICS, rounds: 5, ms: 250, vs: undefined }))

  it('takes topics separated by commas', () =>
    expect(parseMicroOptions(['--only', 'hash,json', '--rounds', '3']).topics).toEqual(['hash', 'json']))

  it.each([
    [['--only', 'sha'], `--only sha: expected one of ${TOPICS.join(', ')}`],
    [['--rounds', '0'], '--rounds 0: expected an integer above 0'],
    [['--ms', '1.5'], '--ms 1.5: expected an integer above 0'],
  ])('rejects %j', (argv, message) => expect(() => parseMicroOptions(argv)).toThrow(new RangeError(message)))
})
