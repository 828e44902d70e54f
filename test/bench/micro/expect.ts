// Checks of results, which keep a kernel that does nothing from being measured.

import { deepStrictEqual } from 'node:assert'

/** Returns a check that the result equals the expected value. */
export function equals(expected: unknown): (result: unknown) => void {
  return (result) => deepStrictEqual(result, expected)
}
