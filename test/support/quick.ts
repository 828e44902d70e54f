/** Whether this run is `npm test`, in which tests make fewer rounds, kills or sizes; see test/sets.mjs. */
export const QUICK: boolean = process.env['QUICK'] === '1'
