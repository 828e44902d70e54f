#!/usr/bin/env node
// Starts the bundle that `npm run build` makes. A package manager can link this file before that.
// It is CommonJS because Node reads ES modules through libuv's thread pool, whose size must be set before its first use.
'use strict'
const { existsSync } = require('node:fs')
const path = require('node:path')
const { pathToFileURL } = require('node:url')
const { setFlagsFromString } = require('node:v8')

process.env.UV_THREADPOOL_SIZE ??= '8'
// Collect garbage when the heap has doubled. By default, V8 lets it grow to several times the live data.
setFlagsFromString('--heap-growing-percent=100')
const bundle = path.join(__dirname, '../dist/main.js')
if (!existsSync(bundle)) {
  process.stderr.write(
    'service-fs: not built yet: run `npm run build` (or `npm start`) in the checkout first\n',
  )
  process.exit(3)
}
void import(pathToFileURL(bundle).href)
