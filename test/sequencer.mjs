// The order of the test files: the slowest first, so that no long file runs alone at the end.
import { relative } from 'node:path'
import { BaseSequencer } from 'vitest/node'
import { readTimes } from './times.mjs'

/** @typedef {import('vitest/node').TestSpecification} File */

/** @param {File} file */
const groupOf = ({ project }) => project.config.sequence.groupOrder

export class LongestFirst extends BaseSequencer {
  /**
   * @override
   * @param {File[]} files
   */
  async sort(files) {
    const times = readTimes()
    /** @param {File} file */
    const secondsOf = ({ moduleId }) => times[relative(this.ctx.config.root, moduleId)] ?? 0
    const sorted = await super.sort(files)
    return sorted.toSorted((a, b) => groupOf(a) - groupOf(b) || secondsOf(b) - secondsOf(a))
  }
}
