/** What every function of this package throws when its input is not what the specification allows. */
export class TlogError extends Error {
  /**
   * A stable kebab-case word for programs: `utf8`, `base64`, `hex`, `hash`, `range`, `edge`, `tile`, `inclusion`,
   * `consistency`, `note`, `vkey`, `signer-key`, `signature`, `unverified`, `ambiguous-key`, `checkpoint`, `origin`,
   * `cosignature`, `proof`, `policy`, `quorum`. The message is for people.
   */
  readonly code: string

  constructor(code: string, message: string, options?: { cause?: unknown }) {
    super(message, options)
    this.name = 'TlogError'
    this.code = code
  }
}

/** `value` as it may stand in an error message: quoted, escaped, and cut at 64 characters. */
export function quote(value: string): string {
  return JSON.stringify(value.length > 64 ? `${value.slice(0, 64)}…` : value)
}

/** What `compute` returns; a TlogError of its own is thrown again with another code, since the input is part of a larger one. */
export function recode<T>(code: string, compute: () => T): T {
  try {
    return compute()
  } catch (cause) {
    if (cause instanceof TlogError) throw new TlogError(code, cause.message, { cause })
    throw cause
  }
}
