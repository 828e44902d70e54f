#!/usr/bin/env node
// The built command is a bundle that `npm run build` makes; this file is what a package manager can link before that.
import { existsSync } from 'node:fs'

const bundle = new URL('../dist/main.js', import.meta.url)
if (!existsSync(bundle)) {
  process.stderr.write('service-fs: not built yet: run `npm run build` (or `npm start`) in the checkout first\n')
  process.exit(3)
}
await import(bundle.href)
