/**
 * Stands for @noble/curves and @noble/post-quantum: the bundle checks signatures with the machine's Ed25519 and makes none. What would
 * use these is left out of the bundle as unused; a test sees to it.
 */
export const ed25519: undefined = undefined
export const ml_dsa44: undefined = undefined
