package main

import (
	"encoding/base64"
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

type checkpoint struct {
	origin string
	size   int64
	root   tlog.Hash
}

// fetchCheckpoint gets the checkpoint, verifies the log's signature on it, and checks its origin and form
// (C2SP tlog-checkpoint) and how it is served (C2SP tlog-tiles, Checkpoints).
func fetchCheckpoint(c *client, r *report, verifier note.Verifier, origin string) (*checkpoint, error) {
	res, err := c.get("checkpoint")
	if err != nil {
		return nil, fmt.Errorf("checkpoint: %v", err)
	}
	r.check(res.hasType("text/plain", "utf-8"),
		"checkpoint: Content-Type %q, want text/plain; charset=utf-8", res.header.Get("Content-Type"))
	age := res.cacheFor()
	r.check(age >= 0 && age <= 10,
		"checkpoint: Cache-Control %q should prevent caching beyond a few seconds", res.header.Get("Cache-Control"))
	n, err := note.Open(res.body, note.VerifierList(verifier))
	if err != nil {
		return nil, fmt.Errorf("checkpoint: signed note not accepted with key %s+%08x: %v", verifier.Name(), verifier.KeyHash(), err)
	}
	r.OtherSignatures = len(n.UnverifiedSigs)
	cp, err := parseCheckpoint(n.Text)
	if err != nil {
		return nil, fmt.Errorf("checkpoint: %v", err)
	}
	if cp.origin != origin {
		return nil, fmt.Errorf("checkpoint: origin %q, want %q", cp.origin, origin)
	}
	return cp, nil
}

// parseCheckpoint reads origin, size, root hash and perhaps extension lines.
func parseCheckpoint(text string) (*checkpoint, error) {
	lines := strings.Split(text, "\n")
	if len(lines) < 4 || lines[len(lines)-1] != "" {
		return nil, fmt.Errorf("%q: want three lines or more, each ended by a newline", text)
	}
	for _, line := range lines[:len(lines)-1] {
		if line == "" {
			return nil, fmt.Errorf("%q: an empty line in the text", text)
		}
	}
	size, err := strconv.ParseInt(lines[1], 10, 64)
	if err != nil || size < 0 || strconv.FormatInt(size, 10) != lines[1] {
		return nil, fmt.Errorf("tree size %q is not a decimal number", lines[1])
	}
	raw, err := base64.StdEncoding.Strict().DecodeString(lines[2])
	if err != nil || len(raw) != tlog.HashSize {
		return nil, fmt.Errorf("root hash %q is not the base64 of %d bytes", lines[2], tlog.HashSize)
	}
	return &checkpoint{lines[0], size, tlog.Hash(raw)}, nil
}
