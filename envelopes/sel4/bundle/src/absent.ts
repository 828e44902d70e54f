/**
 * Replaces @noble/curves and @noble/post-quantum: the bundle verifies signatures with the machine's Ed25519, and makes none. esbuild drops
 * the code that would use these packages; a test checks this.
 */
export const ed25519: undefined = undefined
export const ml_dsa44: undefined = undefined
