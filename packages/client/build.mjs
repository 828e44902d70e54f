// Bundles page/ as src/examine/page-script.generated.ts: node build.mjs. The result is a module, because a module can be imported
// everywhere without reading a file.
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { build } from 'esbuild'

const here = import.meta.dirname
const { outputFiles } = await build({
  absWorkingDir: here,
  entryPoints: ['page/main.ts'],
  bundle: true,
  platform: 'browser',
  format: 'iife',
  target: 'es2022',
  charset: 'ascii',
  minify: true,
  legalComments: 'none',
  logLevel: 'warning',
  write: false,
})
const text = outputFiles[0]?.text ?? ''
if (/<\/script|<!--/i.test(text)) throw new Error('the script must not end or hide the element that it is in')
writeFileSync(
  join(here, 'src/examine/page-script.generated.ts'),
  `/** The script of a pack's index.html, bundled from page/. */\nexport const PAGE_SCRIPT: string = ${JSON.stringify(text)}\n`,
)
console.log(`page script: ${text.length} bytes`)
