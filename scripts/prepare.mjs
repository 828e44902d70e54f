// What `npm start` does before it starts the daemon: installs and builds, and says on standard error what it waits for.
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
