package main

import (
	"encoding/json"
	"fmt"
	"math/rand"
	"sort"

	"golang.org/x/mod/sumdb/tlog"
)

// pair is an index and a size, or an older and a newer size.
type pair struct{ a, b int64 }

type inclusionAnswer struct {
	Index    *int64      `json:"index"`
	Size     *int64      `json:"size"`
	LeafHash *tlog.Hash  `json:"leaf_hash"`
	RootHash *tlog.Hash  `json:"root_hash"`
	Hashes   []tlog.Hash `json:"hashes"`
}

type consistencyAnswer struct {
	From   *int64      `json:"from"`
	To     *int64      `json:"to"`
	Hashes []tlog.Hash `json:"hashes"`
}

// checkProofs asks for inclusion and consistency proofs at every pair of boundaries and at random pairs, verifies each with tlog, and
// checks that tlog accepts no proof of something else and the server refuses wrong questions.
func checkProofs(c *client, r *report, tree hashes, size int64, samples int) {
	random := rand.New(rand.NewSource(r.Seed))
	sizes := boundaries(size)
	inclusion, consistency := map[pair]bool{}, map[pair]bool{}
	for _, b := range sizes {
		for _, a := range sizes {
			if a < b {
				inclusion[pair{a, b}] = true
			}
			if a <= b {
				consistency[pair{a, b}] = true
			}
		}
	}
	for range samples {
		if size > 0 {
			b := 1 + random.Int63n(size)
			inclusion[pair{random.Int63n(b), b}] = true
			consistency[pair{random.Int63n(b + 1), b}] = true
		}
	}
	r.InclusionProofs = checkEach(r, inclusion, func(p pair) error { return checkInclusion(c, tree, p) })
	r.ConsistencyProofs = checkEach(r, consistency, func(p pair) error { return checkConsistency(c, tree, p) })
	checkRefused(c, r, size)
}

// boundaries are 0, the size, and the numbers around the powers of two and the multiples of a tile's width.
func boundaries(size int64) []int64 {
	found := map[int64]bool{0: true, size: true}
	around := func(n int64) {
		for _, m := range []int64{n - 1, n, n + 1} {
			if m >= 0 && m <= size {
				found[m] = true
			}
		}
	}
	around(size)
	around(size / tileWidth * tileWidth)
	for n := int64(1); n > 0 && n <= size; n *= 2 {
		around(n)
	}
	for n := int64(tileWidth); n <= size && n <= 4*tileWidth; n += tileWidth {
		around(n)
	}
	list := []int64{}
	for n := range found {
		list = append(list, n)
	}
	sort.Slice(list, func(i, j int) bool { return list[i] < list[j] })
	return list
}

func checkEach(r *report, pairs map[pair]bool, check func(pair) error) int {
	list := make([]pair, 0, len(pairs))
	for p := range pairs {
		list = append(list, p)
	}
	sort.Slice(list, func(i, j int) bool { return list[i].b < list[j].b || list[i].b == list[j].b && list[i].a < list[j].a })
	for _, err := range inParallel(len(list), func(i int) error { return check(list[i]) }) {
		r.fail("%v", err)
	}
	return len(list)
}

func checkInclusion(c *client, tree hashes, p pair) error {
	path := fmt.Sprintf("v1/proof/inclusion?index=%d&size=%d", p.a, p.b)
	var answer inclusionAnswer
	if err := c.getJSON(path, &answer); err != nil {
		return err
	}
	if answer.Index == nil || *answer.Index != p.a || answer.Size == nil || *answer.Size != p.b {
		return fmt.Errorf("%s: the answer is for another index or size, or does not say", path)
	}
	root, err := tlog.TreeHash(p.b, tree)
	if err != nil {
		return err
	}
	leaf := tree[tlog.StoredHashIndex(0, p.a)]
	if answer.LeafHash == nil || *answer.LeafHash != leaf {
		return fmt.Errorf("%s: leaf_hash is %v, the entry gives %v", path, answer.LeafHash, leaf)
	}
	if answer.RootHash == nil || *answer.RootHash != root {
		return fmt.Errorf("%s: root_hash is %v, the entries give %v", path, answer.RootHash, root)
	}
	if err := tlog.CheckRecord(answer.Hashes, p.b, root, p.a, leaf); err != nil {
		return fmt.Errorf("%s: %v", path, err)
	}
	leaf[0] ^= 1
	if tlog.CheckRecord(answer.Hashes, p.b, root, p.a, leaf) == nil {
		return fmt.Errorf("%s: the proof also holds for another leaf", path)
	}
	return nil
}

func checkConsistency(c *client, tree hashes, p pair) error {
	path := fmt.Sprintf("v1/proof/consistency?from=%d&to=%d", p.a, p.b)
	var answer consistencyAnswer
	if err := c.getJSON(path, &answer); err != nil {
		return err
	}
	if answer.From == nil || *answer.From != p.a || answer.To == nil || *answer.To != p.b {
		return fmt.Errorf("%s: the answer is for other sizes, or does not say", path)
	}
	if p.a == 0 {
		if len(answer.Hashes) != 0 {
			return fmt.Errorf("%s: %d hashes, want none: every tree extends the empty one", path, len(answer.Hashes))
		}
		return nil
	}
	older, err := tlog.TreeHash(p.a, tree)
	if err != nil {
		return err
	}
	newer, err := tlog.TreeHash(p.b, tree)
	if err != nil {
		return err
	}
	if err := tlog.CheckTree(answer.Hashes, p.b, newer, p.a, older); err != nil {
		return fmt.Errorf("%s: %v", path, err)
	}
	older[0] ^= 1
	if tlog.CheckTree(answer.Hashes, p.b, newer, p.a, older) == nil {
		return fmt.Errorf("%s: the proof also holds for another older tree", path)
	}
	return nil
}

// getJSON decodes an answer, which must have an array of hashes, even an empty one.
func (c *client) getJSON(path string, into any) error {
	res, err := c.get(path)
	if err != nil {
		return err
	}
	if !res.hasType("application/json", "") {
		return fmt.Errorf("%s: Content-Type %q, want application/json", path, res.header.Get("Content-Type"))
	}
	if err := json.Unmarshal(res.body, into); err != nil {
		return fmt.Errorf("%s: %v", path, err)
	}
	var fields struct {
		Hashes *[]json.RawMessage `json:"hashes"`
	}
	if err := json.Unmarshal(res.body, &fields); err != nil || fields.Hashes == nil {
		return fmt.Errorf("%s: no array `hashes` in %s", path, excerpt(res.body))
	}
	return nil
}

// checkRefused asks for proofs that do not exist, and expects 400 with a problem document.
func checkRefused(c *client, r *report, size int64) {
	for _, path := range []string{
		fmt.Sprintf("v1/proof/inclusion?index=%d&size=%d", size, size),
		fmt.Sprintf("v1/proof/inclusion?index=0&size=%d", size+1),
		"v1/proof/inclusion?index=0&size=0",
		"v1/proof/inclusion?index=-1&size=1",
		"v1/proof/inclusion?index=x&size=1",
		"v1/proof/inclusion?size=1",
		"v1/proof/inclusion?index=00&size=01",
		"v1/proof/inclusion?index=0&size=18446744073709551616",
		fmt.Sprintf("v1/proof/consistency?from=0&to=%d", size+1),
		fmt.Sprintf("v1/proof/consistency?from=%d&to=%d", size+1, size),
		"v1/proof/consistency?from=1.5&to=2",
		"v1/proof/consistency",
	} {
		res, err := c.do("GET", path, "identity")
		r.check(err == nil && res.status == 400 && res.hasType("application/problem+json", ""),
			"%s: %s, want 400 with application/problem+json", path, describe(res, err))
	}
}
