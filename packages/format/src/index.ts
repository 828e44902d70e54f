/**
 * The text format of a service-fs ledger (docs/format.md): entries, large records split over several entries, the tail with its
 * commits, and the README.txt that explains a ledger directory. Trees, tiles and checkpoints are in `@service-fs/tlog`. No function
 * does I/O.
 *
 * A function throws {@link FormatError} for input that the format does not allow.
 *
 * @packageDocumentation
 */
export { FormatError, codeOf, messageOf } from './errors.ts'

export {
  MAX_ENTRY_BYTES,
  MAX_HEADER_BYTES,
  MAX_ID_BYTES,
  MAX_TYPE_BYTES,
  PART_BYTES,
  entriesOf,
  fieldsProblem,
  idProblem,
  joinParts,
  parseEntry,
  partLength,
  typeProblem,
  type Entry,
  type EntryHeader,
  type Field,
  type RecordContent,
  type Sha256Hex,
} from './entry.ts'
export { CLOCK_TYPE, correctionPayload, correctsTime, type ClockCorrection } from './clock-correction.ts'

export { readTail, type TailContent, type TailFile, type TailReadOptions } from './tail-read.ts'
export {
  formatCommit,
  formatEdge,
  isFill,
  isTorn,
  parseCommit,
  parseEdge,
  parseTailName,
  tailName,
  type CommitText,
} from './tail-text.ts'

export { MODULE_ID_PATTERN, isModuleId } from './module-id.ts'
export { readmeText } from './readme.ts'
export { SHELL, SHELL_MARK } from './readme-shell.ts'
export { TIME_LENGTH, isTime, timeRank } from './time.ts'
export { quoted, visibleLine, visibleText } from './visible.ts'
