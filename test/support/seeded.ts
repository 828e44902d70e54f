// Runs before each test file: gives fast-check the seed of this run. fast-check prints it when a property fails.
import fc from 'fast-check'
import { SEED } from './seed.ts'

fc.configureGlobal({ seed: SEED })
