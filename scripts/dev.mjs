// Serves a ledger, and restarts the daemon when a source changes: npm run dev -- [SERVE OPTION...].
import { spawn } from 'node:child_process'
import { join } from 'node:path'
import { root } from './workspace.mjs'

const program = join(root, 'app/bin/service-fs.js')
const serve = ['serve', '--module-id', 'demo', '--root', 'data', '--listen', '127.0.0.1:8080']

/** @type {import('node:child_process').ChildProcess | undefined} */
let daemon
let isStopping = false

function start() {
  const options = [program, ...serve, ...process.argv.slice(2)]
  daemon = spawn(process.execPath, options, { cwd: root, stdio: 'inherit' })
  daemon.once('exit', ended)
}

/**
 * Starts the daemon again if this script ended it. If the daemon ended otherwise, the next change starts it.
 * @param {number | null} code
 */
function ended(code) {
  const wasReplaced = daemon?.killed === true
  daemon = undefined
  if (isStopping) process.exit(code ?? 0)
  if (wasReplaced) start()
  else process.stderr.write('the daemon ended; it starts again after the next change\n')
}

function changed() {
  process.stderr.write('bundled\n')
  if (daemon === undefined) start()
  else daemon.kill()
}

for (const signal of ['SIGINT', 'SIGTERM'])
  process.on(signal, () => {
    isStopping = true
    if (daemon === undefined) process.exit(0)
    daemon.kill()
  })

// In this order: prepare.mjs installs esbuild.
await import('./prepare.mjs')
const { watch } = await import('../app/build.mjs')
await watch(changed)
