#!/usr/bin/env node
// Starts the bundle that `npm run build` makes. A package manager can link this file before the build.
// This file is CommonJS because Node reads ES modules through libuv's thread pool, and the size of that pool must be set before it is first
// used.
'use strict'
const { existsSync } = require('node:fs')
const path = require('node:path')
const { pathToFileURL } = require('node:url')
const { getHeapSpaceStatistics, setFlagsFromString } = require('node:v8')

process.env.UV_THREADPOOL_SIZE ??= '8'
// Collect garbage when the heap has doubled. By default, V8 lets it grow to several times the live data.
setFlagsFromString('--heap-growing-percent=100')
if (process.argv[2] === 'serve') boundYoungGeneration()
const bundle = path.join(__dirname, '../dist/main.js')
if (!existsSync(bundle)) {
  process.stderr.write(
    'service-fs: not built yet: run `npm run build` (or `npm start`) in the checkout first\n',
  )
  process.exit(3)
}
void import(pathToFileURL(bundle).href)

/**
 * Lets V8's young generation grow to 8 MiB, in two halves, and no further. By default it grows to 32 MiB, and buffers stay in memory until it
 * is collected. V8 reads the maximum once, when the process starts, and the growth factor each time it grows.
 */
function boundYoungGeneration() {
  setFlagsFromString('--semi-space-growth-factor=4')
  // The young generation grows when many objects survive a collection. This takes about ten rounds.
  for (let round = 0, alive = []; round < 32 && youngBytes() < 8 * 2 ** 20; round++)
    alive.push(Array.from({ length: 4000 }, (_, i) => ({ i })))
  setFlagsFromString('--semi-space-growth-factor=1')
}

function youngBytes() {
  return getHeapSpaceStatistics().find(({ space_name }) => space_name === 'new_space').space_size
}
