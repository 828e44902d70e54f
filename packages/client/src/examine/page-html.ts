/** The file index.html, which is the same in every pack. */
import { hash } from 'node:crypto'
import { htmlHead } from './html-head.ts'
import { PAGE_SCRIPT } from './page-script.generated.ts'

const STYLE = `
:root { color-scheme: light dark; }
body { font: 1rem/1.5 system-ui, sans-serif; max-width: 75rem; margin: 2rem auto; padding: 0 1rem; }
form { display: grid; grid-template-columns: repeat(auto-fit, minmax(15rem, 1fr)); gap: .75rem; align-items: end; }
label { display: block; }
input { font: inherit; width: 100%; box-sizing: border-box; padding: .25rem; }
button { font: inherit; padding: .25rem .75rem; }
:focus-visible { outline: 3px solid Highlight; outline-offset: 2px; }
table { border-collapse: collapse; width: 100%; margin-top: .5rem; }
caption { text-align: left; }
th, td { border: 1px solid GrayText; padding: .25rem .5rem; text-align: left; vertical-align: top; overflow-wrap: anywhere; }
td button { text-align: left; overflow-wrap: anywhere; unicode-bidi: isolate; }
pre { border: 1px solid GrayText; padding: .5rem; white-space: pre-wrap; overflow-wrap: anywhere; max-height: 30rem; overflow: auto; unicode-bidi: isolate; }
dd { overflow-wrap: anywhere; unicode-bidi: isolate; }
.result { font-weight: bold; }
`

/** A page opened from a file loads only file: scripts; a page from a server loads only that server's scripts. */
const policyOf = (script: string): string[] => [
  `script-src 'sha256-${hash('sha256', script, 'base64')}' file: 'self'`,
  "style-src 'unsafe-inline'",
]

export function pageHtml(): string {
  const script = `\n${PAGE_SCRIPT}`
  const head = htmlHead({ title: 'Records of a ledger', policy: policyOf(script), style: STYLE })
  return `${head}<body>
<header>
<h1>Records of the ledger <bdi id="origin"></bdi></h1>
<p id="about"></p>
<p>This page checks the proofs by itself and needs no network. It came with the pack: to rely on nothing from the pack, check a proof
with <code>verify.sh</code> or <code>service-fs verify-proof</code> from a source that you trust. README.txt says how.
<a href="report.html">The integrity report</a> says what was checked when the pack was made.</p>
<noscript><p>This page needs JavaScript. index.csv has the same records.</p></noscript>
</header>
<main>
<section aria-labelledby="search-heading">
<h2 id="search-heading">Search</h2>
<form id="search" role="search" autocomplete="off">
<div><label for="text">Identifier, author, cursor, hash or file name has</label><input id="text" type="search"></div>
<div><label for="type">Media type has</label><input id="type" type="search"></div>
<div><label for="from">Deposited from (UTC, such as 2026-11-22)</label><input id="from" type="text"></div>
<div><label for="to">Deposited before (UTC)</label><input id="to" type="text"></div>
<div><button type="submit">Search</button></div>
</form>
<p id="count" role="status"></p>
<div id="found"></div>
<nav aria-label="Pages of results" id="pages" hidden>
<button type="button" id="previous">Previous page</button>
<button type="button" id="next">Next page</button>
</nav>
</section>
<section aria-labelledby="record-heading" id="record" hidden>
<h2 id="record-heading" tabindex="-1">Record</h2>
<div id="details"></div>
</section>
<section aria-labelledby="all-heading">
<h2 id="all-heading">Check the proofs of all records found</h2>
<p><button type="button" id="check-all">Check all</button> <button type="button" id="stop" hidden>Stop</button></p>
<p id="all-result" role="status"></p>
</section>
<section aria-labelledby="key-heading">
<h2 id="key-heading">Key</h2>
<p id="key-about"></p>
<div id="keys"></div>
<form id="key" autocomplete="off">
<div><label for="trusted">Check with this key instead, which you have from the ledger’s owner</label><input id="trusted" type="text"></div>
<div><button type="submit">Use this key</button></div>
</form>
<p id="key-result" role="status"></p>
</section>
</main>
<script>${script}</script>
</body>
</html>
`
}
