/**
 * The seed of every randomized test. It is fixed, so that a test fails because of a change and not because of a new seed;
 * `npm run test:seeds` chooses another one.
 */
export const SEED: number = Number(process.env['SEED'] ?? 1)
