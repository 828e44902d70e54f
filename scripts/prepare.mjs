// Runs before `npm start` starts the daemon: installs and builds, and names each step on standard error.
import { install, isInstalled, runTask } from './workspace.mjs'

/**
 * @param {string} phase
 * @param {() => boolean} work
 */
function step(phase, work) {
  process.stderr.write(`${phase}\n`)
  if (!work()) process.exit(1)
}

step(
  isInstalled() ? 'checking dependencies' : 'installing dependencies: takes about a minute the first time',
  install,
)
step('building', () => runTask('build'))
step('starting', () => true)
