import { expect, it } from 'vitest'
import { quoted, visibleLine, visibleText } from './visible.ts'

const UNICODE = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}\p{Default_Ignorable_Code_Point}]/u

it('visibleLine escapes the control, format, separator, ignorable and surrogate characters of this engine', () => {
  const wrong: string[] = []
  for (let code = 0; code <= 0x10_ffff; code++) {
    const character = String.fromCodePoint(code)
    const shown = visibleLine(character)
    if (shown === character ? !UNICODE.test(character) : JSON.parse(`"${shown}"`) === character) continue
    wrong.push(code.toString(16))
  }
  expect(wrong).toEqual([])
})

it('visibleText, visibleLine and quoted keep text of all scripts, and emoji', () => {
  for (const text of ['Grüße', 'שלום', 'مرحبا', '日本語', 'हिन्दी', '😀', 'a b/c d.txt', '\\u202e'])
    expect([visibleText(text), visibleLine(text), quoted(text)]).toEqual([text, text, text])
})

it('visibleText keeps line feeds and tabs, and visibleLine escapes them', () => {
  expect(visibleText('a\tb\nc\r\u001b[2J')).toBe('a\tb\nc\\u000d\\u001b[2J')
  expect(visibleLine('a\tb\nc')).toBe('a\\u0009b\\u000ac')
})

it('visibleText keeps the value of JSON', () => {
  const value = { 'na\u202eme': ['\u009b\u2028', '\ud800', '\u{e0041}', '"\\\n\u001b'] }
  const text = JSON.stringify(value)
  expect(visibleText(text)).not.toMatch(UNICODE)
  expect(JSON.parse(visibleText(text))).toEqual(value)
})

it('quoted quotes values so that different values look different', () => {
  const values = [
    'a',
    '"a"',
    '',
    ' a',
    'a ',
    'a\u202eb',
    'a\\u202eb',
    '"a\\u202eb"',
    'a\nb',
    'a\\nb',
    '\ud800',
  ]
  const shown = values.map(quoted)
  expect(new Set(shown).size).toBe(values.length)
  expect(shown.join('')).not.toMatch(UNICODE)
  for (const [i, text] of shown.entries()) if (text.startsWith('"')) expect(JSON.parse(text)).toBe(values[i])
})
