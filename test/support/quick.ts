/** Whether `npm test` runs, in which a test makes fewer rounds, kills or sizes; see test/sets.mjs. */
export const QUICK: boolean = process.env['QUICK'] === '1'
