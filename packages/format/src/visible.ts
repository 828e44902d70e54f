/**
 * Text from outside, such as a record's id, a file's name or what a server says, made safe for a terminal. Characters that
 * control it, that reorder or hide what stands beside them, or that look like the end of a line become \uXXXX, one for each
 * UTF-16 code unit, as JSON writes them.
 */

/**
 * Unicode's Cc, Cf, Zl, Zp and Default_Ignorable_Code_Point, and surrogates without their other half: spelled out, so that it
 * is the same in each engine, whatever Unicode it has. Unassigned code points of the planes' ignorable ranges are in it.
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

/** Text of several lines: line feeds and tabs stay. JSON stays the same JSON. */
export function visibleText(text: string): string {
  return text.replace(UNSAFE, (unsafe) => (unsafe === '\n' || unsafe === '\t' ? unsafe : escaped(unsafe)))
}

/** Text of one line. */
export function visibleLine(text: string): string {
  return text.replace(UNSAFE, escaped)
}

/**
 * One value among other words: as it is, or as a JSON string where it has characters that are not safe, begins with a
 * quotation mark, begins or ends with a space, or is empty. No two values look the same.
 */
export function quoted(value: string): string {
  const isPlain = value !== '' && !value.startsWith('"') && value.trim() === value && value.search(UNSAFE) < 0
  return isPlain ? value : visibleLine(JSON.stringify(value))
}
