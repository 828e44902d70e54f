/**
 * Makes untrusted text safe for a terminal: record identifiers, file names, messages of servers. Escapes characters that
 * control a
 * terminal, reorder or hide other characters, or look like a line end, as \uXXXX for each UTF-16 code unit, as in JSON.
 */

/**
 * Unicode Cc, Cf, Zl, Zp and Default_Ignorable_Code_Point, and lone surrogates. The list is explicit, so that it does not
 * depend on
 * the Unicode version of the engine. It includes unassigned code points in ignorable ranges.
 */
const UNSAFE =
  // oxlint-disable-next-line no-control-regex no-misleading-character-class
  /[\0-\x1f\x7f-\x9f\xad\u034f\u0600-\u0605\u061c\u06dd\u070f\u0890\u0891\u08e2\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u2028-\u202e\u2060-\u206f\u3164\ud800-\udfff\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb\u{110bd}\u{110cd}\u{13430}-\u{1343f}\u{1bca0}-\u{1bca3}\u{1d173}-\u{1d17a}\u{e0000}-\u{e0fff}]/gu

function escaped(characters: string): string {
  let text = ''
  for (let i = 0; i < characters.length; i++)
    text += `\\u${characters.charCodeAt(i).toString(16).padStart(4, '0')}`
  return text
}

/** Escapes a text of several lines. Keeps line feeds and tabs. A JSON text keeps its value. */
export function visibleText(text: string): string {
  return text.replace(UNSAFE, (unsafe) => (unsafe === '\n' || unsafe === '\t' ? unsafe : escaped(unsafe)))
}

/** Escapes a text of one line. */
export function visibleLine(text: string): string {
  return text.replace(UNSAFE, escaped)
}

/**
 * Returns a value for use within a sentence. Quotes it as a JSON string if it has unsafe characters, starts with a quotation
 * mark,
 * starts or ends with a space, or is empty. So two different values always look different.
 */
export function quoted(value: string): string {
  const isPlain = value !== '' && !value.startsWith('"') && value.trim() === value && value.search(UNSAFE) < 0
  return isPlain ? value : visibleLine(JSON.stringify(value))
}
