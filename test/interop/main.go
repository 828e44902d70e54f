// Interop checks a log over HTTP with none of the project's own code: only the Go project's
// golang.org/x/mod/sumdb/note and golang.org/x/mod/sumdb/tlog, and the standard library.
//
// It opens the checkpoint, fetches every entry bundle and every hash tile that the checkpoint implies,
// recomputes the whole tree from the entries, and compares. In the service-fs profile it then asks the
// server for proofs and verifies them, and holds the server to the SHOULDs of C2SP tlog-tiles too; in the
// tlog-tiles profile only to the MUSTs, so that any tiled log can be checked.
//
// It prints one JSON line. It exits 0 when everything holds, 1 when something does not, 2 on wrong usage.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"net/url"
	"os"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// maxFailures bounds the list of failures in the report.
const maxFailures = 20

type report struct {
	OK                bool     `json:"ok"`
	Prefix            string   `json:"prefix"`
	Origin            string   `json:"origin"`
	Size              int64    `json:"size"`
	Root              string   `json:"root"`
	OtherSignatures   int      `json:"other_signatures"`
	Bundles           int      `json:"bundles"`
	Tiles             int      `json:"tiles"`
	EntryBytes        int64    `json:"entry_bytes"`
	InclusionProofs   int      `json:"inclusion_proofs"`
	ConsistencyProofs int      `json:"consistency_proofs"`
	HTTPChecks        int      `json:"http_checks"`
	Requests          int64    `json:"requests"`
	Seed              int64    `json:"seed"`
	Seconds           float64  `json:"seconds"`
	Failures          []string `json:"failures"`
	FailureCount      int      `json:"failure_count"`
}

func (r *report) fail(format string, args ...any) {
	r.FailureCount++
	if len(r.Failures) < maxFailures {
		r.Failures = append(r.Failures, fmt.Sprintf(format, args...))
	}
}

// check counts a property of the HTTP interface, and records a failure if the property does not hold.
func (r *report) check(holds bool, format string, args ...any) {
	r.HTTPChecks++
	if !holds {
		r.fail(format, args...)
	}
}

func main() {
	prefix := flag.String("prefix", "", "URL `prefix` of the log, e.g. http://127.0.0.1:8080/t/demo/")
	vkey := flag.String("vkey", "", "the log's Ed25519 verifier key, or the `path` of a file that holds it")
	origin := flag.String("origin", "", "expected checkpoint origin (default: the name of the key)")
	module := flag.String("module", "", "send X-Foundry-Module-ID with this `id`")
	profile := flag.String("profile", "service-fs", "service-fs or tlog-tiles")
	samples := flag.Int("samples", 200, "random proofs of each kind, besides those at the boundaries")
	seed := flag.Int64("seed", time.Now().UnixNano(), "seed of the random samples")
	timeout := flag.Duration("timeout", 2*time.Minute, "limit of the whole run")
	flag.Parse()

	verifier, err := readVerifier(*vkey)
	if err != nil {
		usage(err)
	}
	base, err := readPrefix(*prefix)
	if err != nil {
		usage(err)
	}
	if *profile != "service-fs" && *profile != "tlog-tiles" {
		usage(fmt.Errorf("-profile %q: want service-fs or tlog-tiles", *profile))
	}
	if *origin == "" {
		*origin = verifier.Name()
	}

	ctx, cancel := context.WithTimeout(context.Background(), *timeout)
	defer cancel()
	start := time.Now()
	r := &report{Prefix: base, Seed: *seed, Failures: []string{}}
	c := &client{ctx: ctx, prefix: base, module: *module, http: newHTTPClient()}
	run(c, r, verifier, *origin, *profile == "service-fs", *samples)
	r.Requests = c.requests.Load()
	r.OK = r.FailureCount == 0
	r.Seconds = time.Since(start).Seconds()

	if err := json.NewEncoder(os.Stdout).Encode(r); err != nil || !r.OK {
		os.Exit(1)
	}
}

// run makes every check; it asks for proofs only if it could rebuild the tree.
func run(c *client, r *report, verifier note.Verifier, origin string, full bool, samples int) {
	cp, err := fetchCheckpoint(c, r, verifier, origin)
	if err != nil {
		r.fail("%v", err)
		return
	}
	r.Origin, r.Size, r.Root = cp.origin, cp.size, cp.root.String()
	tree, err := rebuild(c, r, cp.size)
	if err != nil {
		r.fail("%v", err)
		return
	}
	root, err := tlog.TreeHash(cp.size, tree)
	if err != nil {
		r.fail("root of the rebuilt tree: %v", err)
		return
	}
	if root != cp.root {
		r.fail("root: the checkpoint of size %d says %v, the entries give %v", cp.size, cp.root, root)
	}
	checkTiles(c, r, tree, cp.size)
	checkAbsent(c, r, cp.size)
	if full {
		checkHTTP(c, r, cp.size)
		checkProofs(c, r, tree, cp.size, samples)
	}
	again, err := fetchCheckpoint(c, r, verifier, origin)
	if err != nil {
		r.fail("second fetch: %v", err)
	} else if again.size != cp.size || again.root != cp.root {
		r.fail("the log grew from %d to %d entries meanwhile: run this on a log that is at rest", cp.size, again.size)
	}
}

func usage(err error) {
	fmt.Fprintf(os.Stderr, "interop: %v\n", err)
	flag.PrintDefaults()
	os.Exit(2)
}

func readVerifier(s string) (note.Verifier, error) {
	if s == "" {
		return nil, fmt.Errorf("-vkey is missing")
	}
	if data, err := os.ReadFile(s); err == nil {
		s = string(data)
	}
	v, err := note.NewVerifier(strings.TrimSpace(s))
	if err != nil {
		return nil, fmt.Errorf("-vkey: not an Ed25519 verifier key, and no file of this name holds one: %v", err)
	}
	return v, nil
}

func readPrefix(s string) (string, error) {
	u, err := url.Parse(s)
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" {
		return "", fmt.Errorf("-prefix %q: want a URL like http://127.0.0.1:8080/t/demo/", s)
	}
	return strings.TrimRight(s, "/") + "/", nil
}
