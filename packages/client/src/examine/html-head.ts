/** The parts of an HTML page of a pack. All parts are safe HTML. */
export interface HtmlHead {
  title: string
  /** The directives of the content security policy besides `default-src 'none'`, `base-uri 'none'` and `form-action 'none'`. */
  policy: readonly string[]
  style: string
}

/** Formats the start of a page of a pack, up to its body. The page may load only what the policy allows. */
export function htmlHead({ title, policy, style }: HtmlHead): string {
  const directives = ["default-src 'none'", ...policy, "base-uri 'none'", "form-action 'none'"]
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="${directives.join('; ')}">
<meta name="viewport" content="width=device-width">
<meta name="referrer" content="no-referrer">
<title>${title}</title>
<style>${style}</style>
</head>
`
}
