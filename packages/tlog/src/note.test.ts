import { readFileSync } from 'node:fs'
import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { signerFromKey, verifierFromVkey } from './keys.ts'
import {
  MAX_NOTE_LENGTH,
  formatNote,
  formatSignatureLine,
  formatVkey,
  isKeyName,
  keyId,
  openNote,
  parseNote,
  parseSignatureLine,
  parseVkey,
  signNote,
  type Verifier,
} from './note.ts'

const refused = (code: string): unknown => expect.objectContaining({ name: 'TlogError', code })

// Signed by golang.org/x/mod/sumdb/note: see testdata/interop.go.
const interop: { notes: { skey: string; vkey: string; text: string; note: string }[] } = JSON.parse(
  readFileSync(new URL('testdata/interop.json', import.meta.url), 'utf8'),
)

// The example of c2sp.org/signed-note.
const SPEC_VKEY = 'example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k'
const SPEC_NOTE = `This is an example message.

— example.com/foo Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM=
`

// The keys and signatures of the tests of golang.org/x/mod/sumdb/note.
const PETER_SKEY = 'PRIVATE+KEY+PeterNeumann+c74f20a3+AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz'
const PETER_VKEY = 'PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW'
const ENOCH_VKEY = 'EnochRoot+af0cfe78+ATtqJ7zOtqQtYqOo0CpvDXNlMhV3HeJDpjrASKGLWdop'
const TEXT = `If you think cryptography is the answer to your problem,
then you don't know what your problem is.
`
const PETER = `— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n`
const ENOCH = `— EnochRoot rwz+eBzmZa0SO3NbfRGzPCpDckykFXSdeX+MNtCOXm2/5n2tiOHp+vAF1aGrQ5ovTG01oOTGwnWLox33WWd1RvMc+QQ=\n`
const peter = verifierFromVkey(PETER_VKEY)
const enoch = verifierFromVkey(ENOCH_VKEY)
const lines = (note: string, verifiers: Verifier[]): string[] =>
  openNote(note, verifiers).signatures.map((signature) => signature.line)

describe('notes of other implementations', () => {
  it('open: the example of the specification', () => {
    const { text, signatures } = openNote(SPEC_NOTE, [verifierFromVkey(SPEC_VKEY)])
    expect(text).toBe('This is an example message.\n')
    expect(signatures.map(({ name, keyId: id }) => [name, id])).toEqual([['example.com/foo', 0x530d903a]])
  })

  it('parse: the poem of the specification', () => {
    const poem = 'Ognuno sta solo sul cuor della terra\ntrafitto da un raggio di sole:\n\ned è subito sera.\n'
    const line =
      '— quasimodo.example/salvatore NnugSzTjtVAewIS+Z/iJhUPeFDkO/5QQ2i5ddnGITLlC+EhfLW9oJKONrMouFSQU0xMcXxj99ihAQwaqP3ZekRwNtIc=\n'
    const { text, signatures } = parseNote(`${poem}\n${line}`)
    expect(text).toBe(poem)
    expect(signatures).toEqual([
      { name: 'quasimodo.example/salvatore', keyId: 0x367ba04b, signature: expect.any(Uint8Array), line },
    ])
    expect(signatures[0]!.signature).toHaveLength(64)
  })

  it.each(interop.notes)('are the notes that signNote returns: $vkey', async ({ skey, vkey, text, note }) => {
    expect(openNote(note, [verifierFromVkey(vkey)]).text).toBe(text)
    const signer = signerFromKey(skey)
    expect(signer.vkey).toBe(vkey)
    expect(await signNote(text, [signer])).toBe(note)
  })

  it('are the notes that signNote returns: Peter Neumann', async () => {
    expect(await signNote(TEXT, [signerFromKey(PETER_SKEY)])).toBe(`${TEXT}\n${PETER}`)
  })
})

describe('openNote', () => {
  it('returns the signatures of known keys, in the order of the note, without repeated lines', () => {
    expect(lines(`${TEXT}\n${PETER}${ENOCH}`, [peter])).toEqual([PETER])
    expect(lines(`${TEXT}\n${PETER}${ENOCH}`, [enoch])).toEqual([ENOCH])
    expect(lines(`${TEXT}\n${ENOCH}${PETER}`, [peter, enoch])).toEqual([ENOCH, PETER])
    expect(lines(`${TEXT}\n${PETER}${ENOCH}${PETER}`, [peter, enoch])).toEqual([PETER, ENOCH])
  })

  it('requires a key known by name and id', () => {
    expect(() => openNote(`${TEXT}\n${PETER}`, [])).toThrow(refused('unverified'))
    expect(() => openNote(`${TEXT}\n${PETER}`, [enoch])).toThrow(refused('unverified'))
    expect(() => openNote(`${TEXT}\n${PETER}`, [{ ...peter, name: 'Peter' }])).toThrow(refused('unverified'))
    expect(() => openNote(`${TEXT}\n${PETER}`, [{ ...peter, keyId: 1 }])).toThrow(refused('unverified'))
  })

  it('rejects a note with an invalid signature of a known key', () => {
    const wrong = formatSignatureLine('PeterNeumann', peter.keyId, new Uint8Array(64))
    expect(() => openNote(`${TEXT}\n${ENOCH}${wrong}`, [peter, enoch])).toThrow(refused('signature'))
    expect(() => openNote(`${TEXT}\n${PETER}${wrong}`, [peter])).toThrow(refused('signature'))
    expect(() => openNote(`${TEXT}more\n\n${PETER}`, [peter])).toThrow(refused('signature'))
    const short = formatSignatureLine('PeterNeumann', peter.keyId, new Uint8Array(63))
    expect(() => openNote(`${TEXT}\n${short}`, [peter])).toThrow(refused('signature'))
  })

  it('rejects two verifiers with the same name and id, when it needs them', () => {
    expect(() => openNote(`${TEXT}\n${PETER}`, [peter, { ...peter }])).toThrow(refused('ambiguous-key'))
    expect(lines(`${TEXT}\n${ENOCH}`, [peter, { ...peter }, enoch])).toEqual([ENOCH])
  })
})

describe('parseNote', () => {
  it('splits at the last empty line', () => {
    expect(parseNote(`a\n\nb\n\n${PETER}`).text).toBe('a\n\nb\n')
    expect(parseNote(`\n\n${PETER}`).text).toBe('\n')
    expect(parseNote(`\n\n\n${PETER}`).text).toBe('\n\n')
  })

  it('accepts 100 signatures', () => {
    expect(parseNote(`${TEXT}\n${PETER.repeat(100)}`).signatures).toHaveLength(100)
  })

  it.each<[string, string]>([
    ['nothing', ''],
    ['no signatures', TEXT],
    ['no signatures after the empty line', `${TEXT}\n`],
    ['no text', `\n${PETER}`],
    ['no empty line', `${TEXT}${PETER}`],
    ['no newline at the end', `${TEXT}\n${PETER.slice(0, -1)}`],
    ['an empty line at the end', `${TEXT}\n${PETER}\n`],
    ['another line between signatures', `${TEXT}\n${PETER}x\n${ENOCH}`],
    ['101 signatures', `${TEXT}\n${PETER.repeat(101)}`],
    ['too much text', `${'x'.repeat(MAX_NOTE_LENGTH)}\n\n${PETER}`],
    ['a carriage return', `a\r\n\n${PETER}`],
    ['a tab', `a\tb\n\n${PETER}`],
    ['a zero byte', `a\0b\n\n${PETER}`],
    ['an escape', `a\u001b\n\n${PETER}`],
    ['a lone surrogate', `a\ud800\n\n${PETER}`],
  ])('rejects %s', (_name, note) => {
    expect(() => parseNote(note)).toThrow(refused('note'))
  })

  it.each<[string, string]>([
    ['nothing', ''],
    ['a hyphen', PETER.replace('—', '-')],
    ['an en dash', PETER.replace('—', '–')],
    ['no space after the dash', PETER.replace('— ', '—')],
    ['two spaces after the dash', PETER.replace('— ', '—  ')],
    ['no name', PETER.replace('PeterNeumann', '')],
    ['a name with a plus', PETER.replace('PeterNeumann', 'Peter+Neumann')],
    ['a name with a no-break space', PETER.replace('PeterNeumann', 'Peter\u00a0Neumann')],
    ['a name with an ideographic space', PETER.replace('PeterNeumann', 'Peter\u3000Neumann')],
    ['a name with a next line', PETER.replace('PeterNeumann', 'Peter\u0085Neumann')],
    ['no signature', '— PeterNeumann\n'],
    ['an empty signature', '— PeterNeumann \n'],
    ['a key id without a signature', '— PeterNeumann x08gow==\n'],
    ['three bytes', '— PeterNeumann x08g\n'],
    ['base64 without padding', PETER.replace('=', '')],
    ['base64 that is not canonical', PETER.replace('AM=', 'AN=')],
    ['the URL alphabet', PETER.replaceAll('/', '_')],
    ['a space at the end', PETER.replace('\n', ' \n')],
    ['a third field', PETER.replace('\n', ' AAAA\n')],
  ])('rejects a signature line with %s', (_name, line) => {
    expect(() => parseNote(`${TEXT}\n${line}`)).toThrow(refused('note'))
    expect(() => parseSignatureLine(line)).toThrow(refused('note'))
  })
})

describe('formatting', () => {
  const name = fc.string({ unit: 'binary', minLength: 1, maxLength: 20 }).filter(isKeyName)
  const id = fc.integer({ min: 0, max: 2 ** 32 - 1 })
  const signature = fc.uint8Array({ minLength: 1, maxLength: 100 })

  it('formats lines that parse', () => {
    fc.assert(
      fc.property(name, id, signature, (n, k, bytes) => {
        const line = formatSignatureLine(n, k, bytes)
        expect(parseSignatureLine(line)).toEqual({ name: n, keyId: k, signature: bytes, line })
        expect(parseSignatureLine(line.slice(0, -1))).toEqual(parseSignatureLine(line))
        expect(parseNote(formatNote('text\n', [line, line])).signatures).toHaveLength(2)
      }),
    )
  })

  it('rejects what would not parse', () => {
    expect(() => formatSignatureLine('a b', 1, new Uint8Array(1))).toThrow(refused('note'))
    expect(() => formatSignatureLine('a', 1, new Uint8Array(0))).toThrow(refused('note'))
    for (const text of ['', 'no newline', 'a\tb\n', '\ud800\n']) {
      expect(() => formatNote(text, [PETER])).toThrow(refused('note'))
    }
    expect(() => formatNote(TEXT, [])).toThrow(refused('note'))
    expect(() => formatNote(TEXT, [PETER.slice(0, -1)])).toThrow(refused('note'))
    expect(() => formatNote(TEXT, [`x\n\n${PETER}`])).toThrow(refused('note'))
  })

  it('checks key names', () => {
    for (const good of [
      'a',
      'example.org/log',
      'Größe',
      '=',
      '\u007f',
      '日本',
      '\u200b',
      '\ufeff',
      '\u{1f600}',
    ]) {
      expect(isKeyName(good)).toBe(true)
    }
    const spaces = Array.from({ length: 0x10000 }, (_, i) => String.fromCharCode(i)).filter((c) =>
      /\p{White_Space}/u.test(c),
    )
    expect(spaces).toHaveLength(25)
    for (const bad of ['', '+', '\0', '\u0001', '\u001f', '\ud800', ...spaces])
      expect(isKeyName(`a${bad}`)).toBe(bad === '')
    expect(isKeyName('')).toBe(false)
  })
})

describe('vkeys', () => {
  it('format and parse as inverses', () => {
    for (const vkey of [SPEC_VKEY, PETER_VKEY, ENOCH_VKEY, ...interop.notes.map((note) => note.vkey)]) {
      const parsed = parseVkey(vkey)
      expect(parsed.type).toBe(1)
      expect(keyId(parsed.name, 1, parsed.publicKey)).toBe(parsed.keyId)
      expect(formatVkey(parsed)).toBe(vkey)
    }
  })

  it('may have unknown types with other key ids', () => {
    const vkey = 'example.org/ecdsa+01020304+AgUGBw=='
    expect(parseVkey(vkey)).toEqual({
      name: 'example.org/ecdsa',
      keyId: 0x01020304,
      type: 2,
      publicKey: new Uint8Array([5, 6, 7]),
    })
    expect(formatVkey(parseVkey(vkey))).toBe(vkey)
    expect(() => verifierFromVkey(vkey)).toThrow(refused('vkey'))
  })

  it('are rejected when truncated or changed', () => {
    for (let start = 0; start < PETER_VKEY.length; start++) {
      for (let end = start; end <= PETER_VKEY.length; end++) {
        if (end - start < PETER_VKEY.length)
          expect(() => parseVkey(PETER_VKEY.slice(start, end))).toThrow(refused('vkey'))
      }
      const next = String.fromCharCode(PETER_VKEY.charCodeAt(start) + 1)
      const changed = PETER_VKEY.slice(0, start) + next + PETER_VKEY.slice(start + 1)
      expect(() => verifierFromVkey(changed)).toThrow(refused('vkey'))
    }
  })

  it.each<[string, string]>([
    ['no name', PETER_VKEY.replace('PeterNeumann', '')],
    ['a space in the name', PETER_VKEY.replace('PeterNeumann', 'Peter Neumann')],
    ['capital hexadecimal', PETER_VKEY.replace('c74f20a3', 'C74F20A3')],
    ['a newline at the end', `${PETER_VKEY}\n`],
    ['a space in front', ` ${PETER_VKEY}`],
    ['a fourth part', `${PETER_VKEY}+AAAA`],
    ['another key id', PETER_VKEY.replace('c74f20a3', 'c74f20a4')],
    // From the tests of golang.org/x/mod/sumdb/note: the key id is right, the length is not.
    ['a longer key', 'PeterNeumann+cc469956+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TWBADKEY=='],
    ['a type without a key', 'PeterNeumann+c74f20a3+AQ=='],
    ['no key', 'PeterNeumann+c74f20a3+'],
  ])('are rejected with %s', (_name, vkey) => {
    expect(() => parseVkey(vkey)).toThrow(refused('vkey'))
  })

  it('are not formatted with invalid names', () => {
    expect(() => formatVkey({ ...parseVkey(PETER_VKEY), name: 'a+b' })).toThrow(refused('vkey'))
  })
})
