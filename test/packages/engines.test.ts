// Tests the versions of Node.js that the dependencies say they run in.

import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { satisfies } from 'semver'
import { expect, it } from 'vitest'
import { parse } from 'yaml'
import { repoRoot } from '../support/root.ts'

interface Lock {
  packages: Record<string, { engines?: { node?: string } }>
}

const manifest = JSON.parse(readFileSync(join(repoRoot, 'package.json'), 'utf8')) as {
  engines: { node: string }
}
const oldest = `${manifest.engines.node.replace('>=', '')}.0`
const lock = parse(readFileSync(join(repoRoot, 'pnpm-lock.yaml'), 'utf8')) as Lock
const entries = Object.entries(lock.packages)

it('every dependency in the lock file supports the oldest Node.js that the project supports', () => {
  expect(oldest).toBe('20.19.0')
  const stated = entries.filter(([, { engines }]) => engines?.node !== undefined)
  expect(stated.length).toBeGreaterThan(100)
  const refusing = stated.filter(([, { engines }]) => !satisfies(oldest, engines?.node as string))
  expect(refusing).toEqual([])
})
