// The times of the slow test files. With TIMES=1 in its environment a run records them in test/times.json, by which the slowest
// file runs first, and in the table of docs/testing.md.
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { root } from '../scripts/workspace.mjs'

const file = join(root, 'test/times.json')
const page = join(root, 'docs/testing.md')
/** Seconds; a faster file is left out. */
const SLOW = 3
/** Rows of the table in docs/testing.md. */
const ROWS = 40
const TABLE = /(?<=\| file \| tests \| seconds \|\n\|---\|---\|---\|\n)(?:\|.*\|\n)*/

/** The seconds of each slow file, by its path. @returns {Record<string, number>} */
export const readTimes = () => JSON.parse(readFileSync(file, 'utf8'))

/** A reporter that replaces the recorded times. */
export default class Times {
  /** @type {{ path: string, tests: number, seconds: number }[]} */
  #rows = []

  /** @param {import('vitest/node').TestModule} module */
  onTestModuleEnd(module) {
    const { collectDuration, duration } = module.diagnostic()
    const tests = [...module.children.allTests()].length
    const seconds = Math.round((collectDuration + duration) / 1000)
    if (seconds >= SLOW) this.#rows.push({ path: module.relativeModuleId, tests, seconds })
  }

  onTestRunEnd() {
    const rows = this.#rows.toSorted((a, b) => b.seconds - a.seconds)
    const times = Object.fromEntries(rows.map(({ path, seconds }) => [path, seconds]))
    writeFileSync(file, `${JSON.stringify(times, undefined, 2)}\n`)
    const table = rows
      .slice(0, ROWS)
      .map(({ path, tests, seconds }) => `| ${path} | ${tests} | ${seconds} |\n`)
    writeFileSync(page, readFileSync(page, 'utf8').replace(TABLE, table.join('')))
  }
}
