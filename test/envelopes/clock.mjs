// Loaded before a daemon: its wall clock is the number in a file, milliseconds since 1970.
import { readFileSync } from 'node:fs'

const path = process.env.SERVICE_FS_TEST_CLOCK
if (path !== undefined) Date.now = () => Number(readFileSync(path, 'latin1'))
