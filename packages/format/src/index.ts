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
export {
  AUTHOR_FIELD,
  ANCHOR_FIELD,
  CERTIFICATE_FIELD,
  CHAIN_FIELD,
  SIGNATURE_FIELD,
  SIGNATURE_ID_PREFIX,
  SIGNATURE_OF_FIELD,
  SIGNED_AT_FIELD,
  authorFields,
  authorIn,
  isAuthorProblem,
  signatureId,
  type Author,
  type AuthorProblem,
} from './author.ts'
export { CLOCK_TYPE, correctionPayload, correctsTime, type ClockCorrection } from './clock-correction.ts'
export { Duties, covers, type HoldState, type Kept, type KeptRecord, type PolicyState } from './duties.ts'
export {
  DUTY_FIELD,
  DUTY_ID_PREFIX,
  DUTY_TYPE,
  RETAIN_FIELD,
  dutyIn,
  dutyPayload,
  type Duty,
  type DutyProblem,
  type Extension,
  type Hold,
  type Lift,
  type Policy,
  type Scope,
} from './duty.ts'
export { SCRUB_TYPE, scrubPayload, type ScrubEvent } from './scrub-entry.ts'

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

export {
  MAX_JSON_BYTES,
  conditionText,
  parseCondition,
  pointerProblem,
  type FieldCondition,
  type SearchField,
} from './json-fields.ts'
export { MODULE_ID_PATTERN, isModuleId } from './module-id.ts'
export { readmeText } from './readme.ts'
export {
  TREE_ALGORITHMS,
  TREE_ID_PREFIX,
  TREE_TYPE,
  bindingIn,
  bindingPayload,
  isBindingProblem,
  isTreeAlgorithm,
  misplacedBinding,
  treeAlgorithm,
  treeBindingId,
  treeOrigin,
  type BindingProblem,
  type TreeAlgorithm,
  type TreeAlgorithmFacts,
  type TreeBinding,
} from './tree-binding.ts'
export { VERIFY_SH, VERIFY_SH_SHA256 } from './verify-shell.ts'
export { SHELL, SHELL_MARK } from './readme-shell.ts'
export { MAX_WHERE, Selection, SelectionError, type SelectionFields } from './selection.ts'
export { TIME_LENGTH, isTime, timeRank } from './time.ts'
export { quoted, visibleLine, visibleText } from './visible.ts'
