package main

import (
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// maxBody is above the largest resource there is: a bundle of 256 entries of 65,535 bytes with their lengths.
const maxBody = 256*(2+65535) + 1

// workers is the number of requests in flight at a time.
const workers = 8

type client struct {
	ctx      context.Context
	prefix   string
	module   string
	http     *http.Client
	requests atomic.Int64
}

// response is an answer as received, before decompression.
type response struct {
	status int
	header http.Header
	body   []byte
}

func newHTTPClient() *http.Client {
	return &http.Client{
		Timeout: 30 * time.Second,
		Transport: &http.Transport{
			DisableCompression:  true,
			MaxIdleConnsPerHost: workers,
			IdleConnTimeout:     10 * time.Second,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// do sends one request for prefix+path. encoding is the Accept-Encoding; "" sends none.
func (c *client) do(method, path, encoding string) (*response, error) {
	c.requests.Add(1)
	req, err := http.NewRequestWithContext(c.ctx, method, c.prefix+path, nil)
	if err != nil {
		return nil, err
	}
	if encoding != "" {
		req.Header.Set("Accept-Encoding", encoding)
	}
	if c.module != "" {
		req.Header.Set("X-Foundry-Module-ID", c.module)
	}
	res, err := c.http.Do(req)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(io.LimitReader(res.Body, maxBody+1))
	if err != nil {
		return nil, fmt.Errorf("%s %s: reading the body: %v", method, path, err)
	}
	if len(body) > maxBody {
		return nil, fmt.Errorf("%s %s: more than %d bytes", method, path, maxBody)
	}
	return &response{res.StatusCode, res.Header, body}, nil
}

// get expects status 200 and returns the answer with its body decompressed, because tlog-tiles lets a log use gzip unasked.
func (c *client) get(path string) (*response, error) {
	res, err := c.do("GET", path, "gzip, identity")
	if err != nil {
		return nil, err
	}
	if res.status != http.StatusOK {
		return nil, fmt.Errorf("GET %s: status %d, want 200 (%s)", path, res.status, excerpt(res.body))
	}
	if res.body, err = res.decoded(); err != nil {
		return nil, fmt.Errorf("GET %s: %v", path, err)
	}
	return res, nil
}

func (r *response) decoded() ([]byte, error) {
	switch e := r.header.Get("Content-Encoding"); e {
	case "", "identity":
		return r.body, nil
	case "gzip":
		z, err := gzip.NewReader(bytes.NewReader(r.body))
		if err != nil {
			return nil, fmt.Errorf("gzip: %v", err)
		}
		body, err := io.ReadAll(io.LimitReader(z, maxBody+1))
		if err != nil {
			return nil, fmt.Errorf("gzip: %v", err)
		}
		if len(body) > maxBody {
			return nil, fmt.Errorf("gzip: more than %d bytes", maxBody)
		}
		return body, nil
	default:
		return nil, fmt.Errorf("Content-Encoding %q was not asked for", e)
	}
}

// hasType reports whether the Content-Type is the given media type, and has the given charset unless that is "".
func (r *response) hasType(want, charset string) bool {
	got, params, err := mime.ParseMediaType(r.header.Get("Content-Type"))
	return err == nil && got == want && (charset == "" || strings.EqualFold(params["charset"], charset))
}

// cacheFor returns the max-age in seconds that Cache-Control gives, 0 for no-cache and no-store, and -1 if it gives none of these.
func (r *response) cacheFor() int {
	age := -1
	for _, d := range strings.Split(r.header.Get("Cache-Control"), ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(strings.ToLower(d)), "=")
		switch name {
		case "no-cache", "no-store":
			return 0
		case "max-age":
			if n, err := strconv.Atoi(value); err == nil {
				age = n
			}
		}
	}
	return age
}

func excerpt(body []byte) string {
	if len(body) > 200 {
		body = body[:200]
	}
	return strconv.QuoteToASCII(string(body))
}

// inParallel calls f for 0..n-1 from a few goroutines and returns the errors in the order of the calls.
func inParallel(n int, f func(i int) error) []error {
	errs := make([]error, n)
	var next atomic.Int64
	var group sync.WaitGroup
	for range min(workers, n) {
		group.Add(1)
		go func() {
			defer group.Done()
			for i := int(next.Add(1)) - 1; i < n; i = int(next.Add(1)) - 1 {
				errs[i] = f(i)
			}
		}()
	}
	group.Wait()
	found := []error{}
	for _, err := range errs {
		if err != nil {
			found = append(found, err)
		}
	}
	return found
}
