// Verify proves that the log whose verifier key is VKEY contains FILE as the record ID: verify URL VKEY ID FILE.
//
// The server is not trusted: everything follows from the file, the id and the key. The package golang.org/x/mod verifies trees, proofs and
// signed notes.
package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// partBytes is the size of the first part of a split record (docs/format.md). A proof of the record covers that part, whose
// header has the length and the SHA-256 of the whole payload.
const partBytes = 61440

func main() {
	log.SetFlags(0)
	if len(os.Args) != 5 {
		log.Fatal("usage: verify URL VKEY ID FILE")
	}
	base, vkey, id := os.Args[1], os.Args[2], os.Args[3]
	payload, err := os.ReadFile(os.Args[4])
	if err != nil {
		log.Fatal(err)
	}
	verifier, err := note.NewVerifier(vkey)
	if err != nil {
		log.Fatal(err)
	}
	proof, err := fetchProof(base, id)
	if err != nil {
		log.Fatal(err)
	}
	index, size, err := check(proof, verifier, id, payload)
	if err != nil {
		fmt.Printf("false: %v\n", err)
		os.Exit(1)
	}
	fmt.Printf("true: %s is entry %d of %d in %s\n", id, index, size, verifier.Name())
}

func fetch(url string) ([]byte, error) {
	answer, err := http.Get(url)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err == nil && answer.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", answer.Status, body)
	}
	return body, err
}

func fetchProof(base, id string) (string, error) {
	body, err := fetch(base + "v1/records/" + url.PathEscape(id))
	if err != nil {
		return "", err
	}
	var record struct{ Cursor int64 }
	if err := json.Unmarshal(body, &record); err != nil {
		return "", err
	}
	proof, err := fetch(fmt.Sprintf("%sv1/entries/%d/proof", base, record.Cursor))
	return string(proof), err
}

// check verifies a c2sp.org/tlog-proof of the record, and returns the record's index and the tree's size.
func check(text string, verifier note.Verifier, id string, payload []byte) (index, size int64, err error) {
	body, checkpoint, _ := strings.Cut(text, "\n\n")
	lines := strings.Split(body, "\n")
	if len(lines) < 3 || lines[0] != "c2sp.org/tlog-proof@v1" {
		return 0, 0, errors.New("not a tlog-proof")
	}
	header, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(lines[1], "extra "))
	if err != nil {
		return 0, 0, err
	}
	index, err = strconv.ParseInt(strings.TrimPrefix(lines[2], "index "), 10, 64)
	if err != nil {
		return 0, 0, err
	}
	var proof tlog.RecordProof
	for _, line := range lines[3:] {
		hash, err := tlog.ParseHash(line)
		if err != nil {
			return 0, 0, err
		}
		proof = append(proof, hash)
	}
	entry, err := entryOf(header, id, payload)
	if err != nil {
		return 0, 0, err
	}
	size, root, err := open(checkpoint, verifier)
	if err != nil {
		return 0, 0, err
	}
	return index, size, tlog.CheckRecord(proof, size, root, index, tlog.RecordHash(entry))
}

// entryOf returns the entry that consists of the header and the payload; for a split record, its first part.
func entryOf(header []byte, id string, payload []byte) ([]byte, error) {
	fields := map[string]string{}
	for line := range strings.SplitSeq(string(header), "\n") {
		if name, value, found := strings.Cut(line, ": "); found {
			fields[name] = value
		}
	}
	if fields["id"] != id {
		return nil, fmt.Errorf("the proof is of %q", fields["id"])
	}
	if sum, split := fields["sha256"]; split {
		found := sha256.Sum256(payload)
		if sum != hex.EncodeToString(found[:]) || fields["length"] != strconv.Itoa(len(payload)) {
			return nil, errors.New("the record has another length or SHA-256")
		}
		payload = payload[:partBytes]
	}
	return bytes.Join([][]byte{header, payload}, nil), nil
}

// open verifies a signed checkpoint (c2sp.org/tlog-checkpoint).
func open(checkpoint string, verifier note.Verifier) (size int64, root tlog.Hash, err error) {
	opened, err := note.Open([]byte(checkpoint), note.VerifierList(verifier))
	if err != nil {
		return 0, root, err
	}
	lines := strings.Split(opened.Text, "\n")
	if len(lines) < 3 || lines[0] != verifier.Name() {
		return 0, root, fmt.Errorf("the checkpoint is of %q", lines[0])
	}
	size, err = strconv.ParseInt(lines[1], 10, 64)
	if err != nil {
		return 0, root, err
	}
	root, err = tlog.ParseHash(lines[2])
	return size, root, err
}
