#!/usr/bin/env node
// The built command is a bundle that `npm run build` makes; this file is what a package manager can link before that.
// It is CommonJS: an ES module is read through libuv's thread pool, whose size can be set only before its first use.
'use strict'
const { existsSync } = require('node:fs')
const { join } = require('node:path')
const { pathToFileURL } = require('node:url')
const { setFlagsFromString } = require('node:v8')

process.env.UV_THREADPOOL_SIZE ??= '8'
// Collect garbage when the heap has doubled; by itself V8 lets it grow to several times what is in use.
setFlagsFromString('--heap-growing-percent=100')
const bundle = join(__dirname, '../dist/main.js')
if (!existsSync(bundle)) {
  process.stderr.write(
    'service-fs: not built yet: run `npm run build` (or `npm start`) in the checkout first\n',
  )
  process.exit(3)
}
void import(pathToFileURL(bundle).href)
