package main

import (
	"bytes"
	"fmt"
	"net/http"
	"strings"

	"golang.org/x/mod/sumdb/tlog"
)

// edge returns, for each level, the tile at the right edge of the tree: the tile that the next hash goes into, with its present number of
// hashes, perhaps 0. The result includes the level above the highest one, with 0 hashes.
func edge(size int64) []tlog.Tile {
	tiles := []tlog.Tile{}
	for level := 0; ; level++ {
		n := size >> (tileHeight * level)
		tiles = append(tiles, tlog.Tile{H: tileHeight, L: level, N: n / tileWidth, W: int(n % tileWidth)})
		if n == 0 {
			return tiles
		}
	}
}

// checkAbsent asks for tiles and bundles that a checkpoint of this size does not cover.
func checkAbsent(c *client, r *report, size int64) {
	for _, t := range edge(size) {
		names := []func(tlog.Tile) string{path}
		if t.L == 0 {
			names = append(names, bundlePath)
		}
		for _, name := range names {
			for _, w := range []int{t.W + 1, tileWidth - 1, tileWidth} {
				if w > t.W && w <= tileWidth {
					wantAbsent(c, r, name(tlog.Tile{H: tileHeight, L: t.L, N: t.N, W: w}))
				}
			}
			wantAbsent(c, r, name(tlog.Tile{H: tileHeight, L: t.L, N: t.N + 1, W: tileWidth}))
			wantAbsent(c, r, name(tlog.Tile{H: tileHeight, L: t.L, N: t.N + 1, W: 1}))
			wantAbsent(c, r, name(tlog.Tile{H: tileHeight, L: t.L, N: 1234067, W: tileWidth}))
		}
	}
}

// checkNoTilePath asks for paths that look like tile paths but are not.
func checkNoTilePath(c *client, r *report) {
	for _, name := range []string{
		"tile/0/0", "tile/0/00", "tile/0/0000", "tile/0/x000/000", "tile/0/x000", "tile/0/-01", "tile/0/0x0",
		"tile/00/000", "tile/64/000", "tile/-1/000", "tile/data/000", "tile/8/0/000",
		"tile/0/000.p", "tile/0/000.p/", "tile/0/000.p/0", "tile/0/000.p/01", "tile/0/000.p/256", "tile/0/000.p/-1",
		"tile/entries/0", "tile/entries/000.p/0", "tile/entries/000.p/256", "tile/entries/x000/000",
		"tile/0/000/", "tile/entries/", "tile", "tile/0/%2e%2e/checkpoint", "tile/0/..%2f..%2fcheckpoint",
	} {
		wantAbsent(c, r, name)
	}
}

// wantAbsent expects 404, or 400 for a path that is not a tile path.
func wantAbsent(c *client, r *report, name string) {
	res, err := c.do("GET", name, "identity")
	if err != nil {
		r.fail("%s: %v", name, err)
		return
	}
	t, err := tlog.ParseTilePath("tile/8/" + strings.TrimPrefix(strings.Replace(name, "/entries/", "/0/", 1), "tile/"))
	wellFormed := err == nil && t.L >= 0 && t.L < 64
	r.check(res.status == http.StatusNotFound || !wellFormed && res.status == http.StatusBadRequest,
		"%s: status %d with %d bytes, want 404: no checkpoint covers it", name, res.status, len(res.body))
}

// checkHTTP checks promises of service-fs that tlog-tiles leaves open: compression on request, no other method, narrower partial tiles,
// HEAD.
func checkHTTP(c *client, r *report, size int64) {
	for _, method := range []string{"PUT", "DELETE", "POST", "PATCH"} {
		for _, name := range []string{"checkpoint", "tile/0/000"} {
			res, err := c.do(method, name, "")
			r.check(err == nil && (res.status == 404 || res.status == 405),
				"%s %s: %s, want 405 (or 404)", method, name, describe(res, err))
		}
	}
	checkNoTilePath(c, r)
	res, err := c.do("HEAD", "checkpoint", "identity")
	r.check(err == nil && res.status == 200 && len(res.body) == 0, "HEAD checkpoint: %s, want 200 without a body", describe(res, err))

	for _, t := range tlog.NewTiles(tileHeight, 0, size) {
		if t.W < tileWidth {
			checkEdgeTile(c, r, t)
		}
	}
	if size > 0 {
		first := tlog.NewTiles(tileHeight, 0, min(size, tileWidth))[0]
		checkGzip(c, r, bundlePath(first))
	}
}

func checkEdgeTile(c *client, r *report, t tlog.Tile) {
	names := []func(tlog.Tile) string{path}
	if t.L == 0 {
		names = append(names, bundlePath)
	}
	for _, name := range names {
		res, err := c.get(name(t))
		if err != nil {
			r.fail("%v", err)
			continue
		}
		checkNarrower(c, r, t, name, res.body)
	}
}

// checkGzip expects a compressed bundle if the request accepts gzip, otherwise a plain one, with the same content.
func checkGzip(c *client, r *report, name string) {
	plain, err := c.do("GET", name, "identity")
	if err != nil || plain.status != 200 {
		r.fail("%s as identity: %s", name, describe(plain, err))
		return
	}
	r.check(plain.header.Get("Content-Encoding") == "", "%s: Content-Encoding %q although only identity was accepted",
		name, plain.header.Get("Content-Encoding"))
	packed, err := c.do("GET", name, "gzip")
	if err != nil || packed.status != 200 {
		r.fail("%s as gzip: %s", name, describe(packed, err))
		return
	}
	body, err := packed.decoded()
	r.check(err == nil && bytes.Equal(body, plain.body), "%s: the gzip form does not unpack to the plain form (%v)", name, err)
	compressible := len(plain.body) >= 4096
	r.check(!compressible || packed.header.Get("Content-Encoding") == "gzip",
		"%s: %d bytes came uncompressed although gzip was accepted", name, len(plain.body))
	r.check(packed.header.Get("Content-Encoding") == "" || hasVary(plain.header) && hasVary(packed.header),
		"%s: Vary %q, want Accept-Encoding where the coding is negotiated", name, plain.header.Get("Vary"))
	refused, err := c.do("GET", name, "gzip;q=0, identity")
	r.check(err == nil && refused.status == 200 && refused.header.Get("Content-Encoding") == "",
		"%s: gzip came although it was refused with q=0 (%s)", name, describe(refused, err))
}

func hasVary(h http.Header) bool {
	for _, v := range h.Values("Vary") {
		if strings.Contains(strings.ToLower(v), "accept-encoding") {
			return true
		}
	}
	return false
}

func describe(res *response, err error) string {
	if err != nil {
		return err.Error()
	}
	return fmt.Sprintf("status %d, %d bytes %s", res.status, len(res.body), excerpt(res.body))
}
