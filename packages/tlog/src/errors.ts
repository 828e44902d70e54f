/** Input that a specification does not allow. All functions of this package throw this class. */
export class TlogError extends Error {
  /**
   * Stable, for programs; the message is for people. One of `utf8`, `base64`, `hex`, `hash`, `range`, `edge`, `tile`,
   * `inclusion`,
   * `consistency`, `note`, `vkey`, `signer-key`, `signature`, `unverified`, `ambiguous-key`, `checkpoint`, `origin`,
   * `cosignature`, `proof`, `policy`, `quorum`.
   */
  readonly code: string

  constructor(code: string, message: string, options?: { cause?: unknown }) {
    super(message, options)
    this.name = 'TlogError'
    this.code = code
  }
}

/** Quotes `value` for an error message: a JSON string, cut at 64 characters. */
export function quote(value: string): string {
  return JSON.stringify(value.length > 64 ? `${value.slice(0, 64)}…` : value)
}

/** Calls `compute`, which parses a part of a larger input, and gives its TlogError the code of that input. */
export function recode<T>(code: string, compute: () => T): T {
  try {
    return compute()
  } catch (cause) {
    if (cause instanceof TlogError) throw new TlogError(code, cause.message, { cause })
    throw cause
  }
}
