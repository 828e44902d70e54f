/** The duties to keep the records of a pack, from the duty entries of the whole ledger. */
import { Duties, type HoldState, type Kept, type KeptRecord } from '@service-fs/format/duties'
import { DUTY_TYPE, dutyIn, isProblem } from '@service-fs/format/duty'
import { parseEntry } from '@service-fs/format/entry'
import { nativeCodec } from '@service-fs/native/native'
import { policyMembers } from '../retention.ts'
import type { TreeRecord } from '../tree-records.ts'

/** The maximum number of duty entries without effect that the report lists. */
const LISTED = 1000

export class PackDuties {
  readonly #duties = new Duties()
  /** The number of duty entries that break a rule, and the cursors of the first of them. */
  withoutEffect = 0
  readonly #listed: number[] = []

  get policies(): number {
    return this.#duties.policies.length
  }

  get holds(): number {
    return this.#duties.holds.length
  }

  /** Adds the duty of the next record of the log, if it states one. */
  read({ index, type, entry }: TreeRecord): void {
    if (type !== DUTY_TYPE) return
    const duty = dutyIn(parseEntry(entry, nativeCodec), nativeCodec)
    if (duty === undefined) return
    if (!isProblem(duty) && this.#duties.add(duty, index) === undefined) return
    this.withoutEffect += 1
    if (this.#listed.length < LISTED) this.#listed.push(index + 1)
  }

  /** Returns the duties of a record. Call it when all entries were read: a later entry may extend them. */
  of(record: KeptRecord): Kept {
    return this.#duties.of(record)
  }

  /** Returns the members of the report. */
  members(): object {
    return {
      policies: this.#duties.policies.map(policyMembers),
      holds: this.#duties.holds.map(holdMembers),
      without_effect: this.withoutEffect,
      first_without_effect: this.#listed,
    }
  }
}

function holdMembers(state: HoldState): object {
  const { duty: _, ...members } = state
  return members
}
