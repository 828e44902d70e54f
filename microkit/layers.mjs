// The layers of the C sources. A unit is X.c with X.h; it depends on the units whose headers it includes.
import { readFileSync } from 'node:fs'
import { basename, dirname, join, normalize } from 'node:path'

/** @typedef {{ path: string, text: string }} Source `path`: relative to microkit/ */

/**
 * Reads the sources at these paths.
 *
 * @param {string} root
 * @param {string[]} paths
 * @returns {Source[]}
 */
export function readSources(root, paths) {
  return paths.map((path) => ({ path, text: readFileSync(join(root, path), 'utf8') }))
}

/** @param {string} path */
const unitOf = (path) => path.replace(/\.[ch]$/, '')

/**
 * Returns each unit's dependencies. Ignores headers that are not among the sources: those of the system and of libraries.
 *
 * @param {Source[]} sources
 * @returns {Map<string, Set<string>>}
 */
export function dependencies(sources) {
  const known = new Set(sources.map(({ path }) => path))
  /** @type {Map<string, Set<string>>} */
  const graph = new Map()
  for (const { path, text } of sources) {
    const unit = unitOf(path)
    const needs = graph.get(unit) ?? new Set()
    graph.set(unit, needs)
    for (const [, name = ''] of text.matchAll(/^#include "([^"]+)"/gm)) {
      const header = [normalize(join(dirname(path), name)), name].find((candidate) => known.has(candidate))
      if (header !== undefined && unitOf(header) !== unit) needs.add(unitOf(header))
    }
  }
  return graph
}

/**
 * Returns one cycle of units, or undefined.
 *
 * @param {Map<string, Set<string>>} graph
 * @returns {string[] | undefined}
 */
export function findCycle(graph) {
  /** @type {Set<string>} */
  const done = new Set()
  /** @type {string[]} */
  const path = []
  /** @param {string} unit @returns {string[] | undefined} */
  const visit = (unit) => {
    const at = path.indexOf(unit)
    if (at !== -1) return [...path.slice(at), unit]
    if (done.has(unit)) return undefined
    path.push(unit)
    for (const next of graph.get(unit) ?? []) {
      const cycle = visit(next)
      if (cycle !== undefined) return cycle
    }
    path.pop()
    done.add(unit)
    return undefined
  }
  for (const unit of graph.keys()) {
    const cycle = visit(unit)
    if (cycle !== undefined) return cycle
  }
  return undefined
}

/**
 * Returns functions whose declaration hides a dependency: declared in X.h, but defined in another file than X.c.
 *
 * @param {Source[]} sources
 * @returns {string[]} one sentence each
 */
export function misplaced(sources) {
  /** @type {Map<string, string>} */
  const declared = new Map()
  /** @type {[string, string][]} */
  const defined = []
  for (const { path, text } of sources) {
    const code = text.replaceAll(/\/\*[\s\S]*?\*\//g, '')
    for (const [, name = '', end] of code.matchAll(
      /^(?!static\b|typedef\b|return\b|#)[A-Za-z_][\w *]*?\b(\w+)\([^;{}]*\)\s*([;{])/gm,
    )) {
      if (end === ';' && path.endsWith('.h')) declared.set(name, path)
      if (end === '{' && path.endsWith('.c')) defined.push([name, path])
    }
  }
  return defined.flatMap(([name, path]) => {
    const header = declared.get(name)
    return header === undefined || unitOf(header) === unitOf(path)
      ? []
      : [`${path}: defines ${name}(), which ${basename(header)} declares`]
  })
}
