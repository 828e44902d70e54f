package main

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"strings"

	"golang.org/x/mod/sumdb/tlog"
)

// tileHeight is fixed by C2SP tlog-tiles: tiles are 256 wide.
const tileHeight = 8

const tileWidth = 1 << tileHeight

// oldest is the least max-age that a tile must have unless it is immutable: a day, in seconds.
const oldest = 24 * 60 * 60

// hashes has every hash of the tree in the order of tlog.StoredHashIndex.
type hashes []tlog.Hash

// ReadHashes implements tlog.HashReader.
func (h hashes) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	found := make([]tlog.Hash, len(indexes))
	for i, x := range indexes {
		if x < 0 || x >= int64(len(h)) {
			return nil, fmt.Errorf("no hash %d in a tree of %d hashes", x, len(h))
		}
		found[i] = h[x]
	}
	return found, nil
}

// path returns the tile's path under the log's prefix: tlog.Tile.Path without the height, which tlog-tiles leaves out.
func path(t tlog.Tile) string {
	return "tile/" + strings.TrimPrefix(t.Path(), fmt.Sprintf("tile/%d/", tileHeight))
}

// bundlePath returns the path of the entry bundle beneath a level 0 tile.
func bundlePath(t tlog.Tile) string {
	return "tile/entries/" + strings.TrimPrefix(path(t), "tile/0/")
}

// rebuild fetches every entry bundle of a tree of this size and computes every hash from the entries alone.
func rebuild(c *client, r *report, size int64) (hashes, error) {
	tiles := []tlog.Tile{}
	for _, t := range tlog.NewTiles(tileHeight, 0, size) {
		if t.L == 0 {
			tiles = append(tiles, t)
		}
	}
	responses := make([]*response, len(tiles))
	leaves := make([][]tlog.Hash, len(tiles))
	errs := inParallel(len(tiles), func(i int) error {
		res, err := c.get(bundlePath(tiles[i]))
		if err != nil {
			return err
		}
		leaves[i], err = leafHashes(res.body, tiles[i].W)
		if err != nil {
			return fmt.Errorf("%s: %v", bundlePath(tiles[i]), err)
		}
		responses[i] = res
		return nil
	})
	for _, err := range errs {
		r.fail("entry bundle: %v", err)
	}
	if len(errs) > 0 {
		return nil, fmt.Errorf("%d of %d entry bundles cannot be read: the tree cannot be rebuilt", len(errs), len(tiles))
	}
	tree := make(hashes, 0, tlog.StoredHashCount(size))
	n := int64(0)
	for i, t := range tiles {
		r.Bundles++
		r.EntryBytes += int64(len(responses[i].body) - 2*t.W)
		checkServed(r, bundlePath(t), responses[i])
		for _, leaf := range leaves[i] {
			more, err := tlog.StoredHashesForRecordHash(n, leaf, tree)
			if err != nil {
				return nil, fmt.Errorf("hashing entry %d: %v", n, err)
			}
			tree = append(tree, more...)
			n++
		}
	}
	return tree, nil
}

// leafHashes splits an entry bundle, where a big-endian uint16 length precedes each entry, and hashes the entries.
func leafHashes(bundle []byte, width int) ([]tlog.Hash, error) {
	found := make([]tlog.Hash, 0, width)
	for len(bundle) > 0 {
		if len(bundle) < 2 {
			return nil, fmt.Errorf("a single byte after entry %d", len(found))
		}
		length := int(binary.BigEndian.Uint16(bundle))
		if len(bundle)-2 < length {
			return nil, fmt.Errorf("entry %d has length %d, but %d bytes are left", len(found), length, len(bundle)-2)
		}
		found = append(found, tlog.RecordHash(bundle[2:2+length]))
		bundle = bundle[2+length:]
	}
	if len(found) != width {
		return nil, fmt.Errorf("%d entries, want %d", len(found), width)
	}
	return found, nil
}

// checkTiles fetches every hash tile of every level, full and partial, and compares it with the rebuilt tree.
func checkTiles(c *client, r *report, tree hashes, size int64) {
	tiles := tlog.NewTiles(tileHeight, 0, size)
	responses := make([]*response, len(tiles))
	errs := inParallel(len(tiles), func(i int) error {
		want, err := tlog.ReadTileData(tiles[i], tree)
		if err != nil {
			return err
		}
		if responses[i], err = c.get(path(tiles[i])); err != nil {
			return err
		}
		return compareTile(path(tiles[i]), responses[i].body, want)
	})
	for _, err := range errs {
		r.fail("hash tile: %v", err)
	}
	for i, res := range responses {
		if res != nil {
			r.Tiles++
			checkServed(r, path(tiles[i]), res)
		}
	}
}

func compareTile(name string, got, want []byte) error {
	if len(got) != len(want) {
		return fmt.Errorf("%s: %d bytes, want %d", name, len(got), len(want))
	}
	for i := 0; i < len(want); i += tlog.HashSize {
		g, w := tlog.Hash(got[i:i+tlog.HashSize]), tlog.Hash(want[i:i+tlog.HashSize])
		if g != w {
			return fmt.Errorf("%s: hash %d is %v, the entries give %v", name, i/tlog.HashSize, g, w)
		}
	}
	return nil
}

// checkServed checks the headers of a tile or bundle.
func checkServed(r *report, name string, res *response) {
	r.check(res.hasType("application/octet-stream", ""),
		"%s: Content-Type %q, want application/octet-stream", name, res.header.Get("Content-Type"))
	r.check(res.cacheFor() >= oldest || strings.Contains(res.header.Get("Cache-Control"), "immutable"),
		"%s: Cache-Control %q should be long-lived", name, res.header.Get("Cache-Control"))
}

// checkNarrower asks for narrower versions of the partial tile at the right edge, and expects a prefix of it, or 404.
func checkNarrower(c *client, r *report, t tlog.Tile, name func(tlog.Tile) string, whole []byte) {
	for _, w := range []int{1, t.W / 2, t.W - 1} {
		if w < 1 || w >= t.W {
			continue
		}
		part := t
		part.W = w
		res, err := c.do("GET", name(part), "identity")
		if err != nil {
			r.fail("%s: %v", name(part), err)
			continue
		}
		body, err := res.decoded()
		r.check(res.status == 404 || res.status == 200 && err == nil && len(body) > 0 && bytes.HasPrefix(whole, body),
			"%s: status %d and %d bytes, want a prefix of %s, or 404", name(part), res.status, len(res.body), name(t))
	}
}
