// Load drives either side of the benchmark with the same clients and the same payload bytes, and prints one JSON
// line: how many records and requests were answered in the measured time, and how long an answer took.
//
//	single   C clients, each appending one record at a time
//	batch    C clients, each appending -batch records in one request
//	read     C clients, each reading one record at random (service-fs)
//	tile     C clients, each reading one full or partial hash tile of level 0 at random
//	bundle   C clients, each reading one entry bundle at random
//	entries  C clients, each reading -batch records at a random cursor as NDJSON (service-fs)
//	proof    C clients, each reading the .tlog-proof of one record at random (service-fs)
//	consistency  C clients, each reading the consistency proof between two sizes at random (service-fs)
//
// It runs for -warmup, which does not count, and then for -seconds; with -total it runs until that many records are in.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"math"
	"math/rand"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// requestTimeout bounds one request.
const requestTimeout = 60 * time.Second

type options struct {
	target, mode, base, module, run string
	clients, batch, payload         int
	total                           int64
	warmup, measured                time.Duration
	size                            int64
}

type report struct {
	Target   string  `json:"target"`
	Mode     string  `json:"mode"`
	Clients  int     `json:"clients"`
	Batch    int     `json:"batch"`
	Payload  int     `json:"payload_bytes"`
	Seconds  float64 `json:"seconds"`
	Requests int64   `json:"requests"`
	Records  int64   `json:"records"`
	Rate     float64 `json:"records_per_second"`
	P50      float64 `json:"p50_ms"`
	P90      float64 `json:"p90_ms"`
	P99      float64 `json:"p99_ms"`
	Max      float64 `json:"max_ms"`
	// Acknowledged counts the warm-up too: the log must hold all these records in the end.
	Acknowledged int64 `json:"acknowledged"`
	// Bytes counts the bodies of the answers within the measured time.
	Bytes       int64    `json:"bytes"`
	Errors      int64    `json:"errors"`
	FirstErrors []string `json:"first_errors,omitempty"`
}

var modes = []string{"single", "batch", "read", "tile", "bundle", "entries", "proof", "consistency"}

func (o *options) reads() bool { return o.mode != "single" && o.mode != "batch" }

// worker is one client: it has one request in flight, always.
type worker struct {
	o        *options
	id       int
	http     *http.Client
	body     []byte
	random   *rand.Rand
	next     int64
	times    []time.Duration
	records  int64
	acked    int64
	bytes    int64 // of the last answer's body
	total    int64 // of the bodies in the measured time
	errors   int64
	messages []string
}

func main() {
	var o options
	flag.StringVar(&o.target, "target", "service-fs", "service-fs or tessera")
	flag.StringVar(&o.mode, "mode", "single", "single, batch, read, tile, bundle, entries, proof or consistency")
	flag.StringVar(&o.base, "url", "", "base URL of the server, with the slash at its end")
	flag.StringVar(&o.module, "module", "bench", "X-Foundry-Module-ID for service-fs")
	flag.StringVar(&o.run, "run", strconv.FormatInt(time.Now().UnixNano(), 36), "prefix of the payload ids")
	flag.IntVar(&o.clients, "clients", 64, "concurrent clients")
	flag.IntVar(&o.batch, "batch", 1, "records in a request")
	flag.IntVar(&o.payload, "payload", 200, "bytes of a payload, at least 130")
	flag.Int64Var(&o.total, "total", 0, "stop after this many records instead of after -seconds")
	flag.Int64Var(&o.size, "size", 0, "reads: entries in the log (default: from its checkpoint)")
	flag.DurationVar(&o.warmup, "warmup", time.Second, "time before measuring")
	flag.DurationVar(&o.measured, "seconds", 5*time.Second, "measured time, e.g. 5s; with -total the limit")
	flag.Parse()
	if err := o.check(); err != nil {
		fmt.Fprintf(os.Stderr, "load: %v\n", err)
		os.Exit(2)
	}
	r, err := drive(&o)
	if err != nil {
		fmt.Fprintf(os.Stderr, "load: %v\n", err)
		os.Exit(1)
	}
	if err := json.NewEncoder(os.Stdout).Encode(r); err != nil || r.Errors > 0 {
		os.Exit(1)
	}
}

func (o *options) check() error {
	switch {
	case o.target != "service-fs" && o.target != "tessera":
		return fmt.Errorf("-target %q: want service-fs or tessera", o.target)
	case !slices.Contains(modes, o.mode):
		return fmt.Errorf("-mode %q: want one of %v", o.mode, modes)
	case o.target == "tessera" && slices.Contains([]string{"read", "entries", "proof", "consistency"}, o.mode):
		return fmt.Errorf("-mode %q: Tessera has no such route", o.mode)
	case !strings.HasPrefix(o.base, "http://127.0.0.1:") || !strings.HasSuffix(o.base, "/"):
		return fmt.Errorf("-url %q: want http://127.0.0.1:PORT/", o.base)
	case o.clients < 1 || o.batch < 1 || o.payload < 130:
		return fmt.Errorf("-clients, -batch or -payload is too small")
	}
	if o.mode != "batch" && o.mode != "entries" {
		o.batch = 1
	}
	return nil
}

// drive runs the workers through the warm-up and the measured time.
func drive(o *options) (*report, error) {
	transport := &http.Transport{
		MaxIdleConns: o.clients, MaxIdleConnsPerHost: o.clients, MaxConnsPerHost: o.clients, DisableCompression: true,
	}
	client := &http.Client{Transport: transport, Timeout: requestTimeout}
	if o.reads() && o.size == 0 {
		size, err := treeSize(o, client)
		if err != nil {
			return nil, err
		}
		o.size = size
	}
	if o.total > 0 {
		o.warmup = 0
	}
	ctx, cancel := context.WithTimeout(context.Background(), o.warmup+o.measured)
	defer cancel()
	var left atomic.Int64
	left.Store(o.total)
	workers := make([]*worker, o.clients)
	var group sync.WaitGroup
	begin := time.Now()
	from := begin.Add(o.warmup)
	for i := range workers {
		workers[i] = &worker{o: o, id: i, http: client, random: rand.New(rand.NewSource(int64(i)))}
		group.Add(1)
		go func() {
			defer group.Done()
			workers[i].loop(ctx, from, &left)
		}()
	}
	group.Wait()
	seconds := o.measured.Seconds()
	if o.total > 0 {
		seconds = time.Since(begin).Seconds()
	}
	return summary(o, workers, seconds), nil
}

// loop sends requests until the time or the records run out. A request counts when its answer came within the
// measured time; requests in flight at the end are awaited, and count as acknowledged only.
func (w *worker) loop(ctx context.Context, from time.Time, left *atomic.Int64) {
	for ctx.Err() == nil {
		n := w.o.batch
		if w.o.total > 0 {
			n = int(min(int64(n), left.Add(-int64(n))+int64(n)))
			if n <= 0 {
				return
			}
		}
		start := time.Now()
		err := w.request(n)
		end := time.Now()
		if err != nil {
			w.errors++
			w.messages = append(w.messages, err.Error())
			if w.errors >= 10 {
				return
			}
			continue
		}
		w.acked += int64(n)
		if !end.Before(from) && (w.o.total > 0 || ctx.Err() == nil) {
			w.records += int64(n)
			w.total += w.bytes
			w.times = append(w.times, end.Sub(start))
		}
	}
}

func (w *worker) request(n int) error {
	switch w.o.mode {
	case "read":
		return w.send("GET", "v1/entries/"+strconv.FormatInt(w.random.Int63n(w.o.size)+1, 10), "")
	case "proof":
		return w.send("GET", "v1/entries/"+strconv.FormatInt(w.random.Int63n(w.o.size)+1, 10)+"/proof", "")
	case "consistency":
		to := w.random.Int63n(w.o.size) + 1
		return w.send("GET", fmt.Sprintf("v1/proof/consistency?from=%d&to=%d", w.random.Int63n(to), to), "")
	case "tile":
		return w.send("GET", tilePath("tile/0/", w.random.Int63n(w.o.size), w.o.size), "")
	case "bundle":
		return w.send("GET", tilePath("tile/entries/", w.random.Int63n(w.o.size), w.o.size), "")
	case "entries":
		since := w.random.Int63n(max(1, w.o.size-int64(n)))
		return w.send("GET", fmt.Sprintf("v1/entries?since=%d&limit=%d", since, n), "")
	}
	w.body = w.body[:0]
	for range n {
		w.record()
	}
	switch {
	case w.o.target == "tessera" && w.o.mode == "batch":
		return w.send("POST", "batch", "application/x-ndjson")
	case w.o.target == "tessera":
		return w.send("POST", "add", "application/json")
	case w.o.mode == "batch":
		return w.send("POST", "v1/append", "application/x-ndjson")
	default:
		return w.send("POST", "v1/append", "application/json")
	}
}

// record appends one record to the body. The payload is canonical JSON (RFC 8785), so both logs keep the same bytes.
func (w *worker) record() {
	w.next++
	id := w.o.run + "-" + strconv.Itoa(w.id) + "-" + strconv.FormatInt(w.next, 10)
	single := w.o.mode != "batch"
	if w.o.target == "service-fs" {
		w.body = append(w.body, `{"payload_id":"`...)
		w.body = append(w.body, id...)
		w.body = append(w.body, `","payload":`...)
	}
	start := len(w.body)
	w.body = append(w.body, `{"account":"DE02-1203-0000-0000-2020-51","amount":`...)
	w.body = strconv.AppendInt(w.body, 100000+w.next%900000, 10)
	w.body = append(w.body, `,"currency":"EUR","id":"`...)
	w.body = append(w.body, id...)
	w.body = append(w.body, `","memo":"`...)
	for len(w.body)-start < w.o.payload-2 {
		w.body = append(w.body, byte('a'+len(w.body)%26))
	}
	w.body = append(w.body, `"}`...)
	if w.o.target == "service-fs" {
		w.body = append(w.body, '}')
	}
	if !single {
		w.body = append(w.body, '\n')
	}
}

func (w *worker) send(method, path, contentType string) error {
	var body io.Reader
	if method == "POST" {
		body = bytes.NewReader(w.body)
	}
	req, err := http.NewRequest(method, w.o.base+path, body)
	if err != nil {
		return err
	}
	if method == "POST" {
		req.Header.Set("Content-Type", contentType)
	}
	if w.o.target == "service-fs" {
		req.Header.Set("X-Foundry-Module-ID", w.o.module)
	}
	if w.o.mode == "entries" {
		req.Header.Set("Accept", "application/x-ndjson")
	}
	res, err := w.http.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		body, _ := io.ReadAll(io.LimitReader(res.Body, 300))
		return fmt.Errorf("%s %s: status %d: %s", method, path, res.StatusCode, body)
	}
	w.bytes, err = io.Copy(io.Discard, res.Body)
	if err == nil && w.bytes == 0 {
		return fmt.Errorf("%s %s: empty answer", method, path)
	}
	return err
}

// tilePath is the tlog-tiles path of the bundle or level-0 tile that covers the entry in a tree of the size.
func tilePath(prefix string, index, size int64) string {
	n := index / 256
	path := fmt.Sprintf("%03d", n%1000)
	for m := n / 1000; m > 0; m /= 1000 {
		path = fmt.Sprintf("x%03d/%s", m%1000, path)
	}
	if n == size/256 {
		path += fmt.Sprintf(".p/%d", size%256)
	}
	return prefix + path
}

// treeSize reads the second line of the log's checkpoint.
func treeSize(o *options, client *http.Client) (int64, error) {
	req, err := http.NewRequest("GET", o.base+"checkpoint", nil)
	if err != nil {
		return 0, err
	}
	if o.target == "service-fs" {
		req.Header.Set("X-Foundry-Module-ID", o.module)
	}
	res, err := client.Do(req)
	if err != nil {
		return 0, err
	}
	defer res.Body.Close()
	text, err := io.ReadAll(io.LimitReader(res.Body, 1<<20))
	if err != nil {
		return 0, err
	}
	lines := strings.Split(string(text), "\n")
	if res.StatusCode != http.StatusOK || len(lines) < 3 {
		return 0, fmt.Errorf("checkpoint: status %d: %.200s", res.StatusCode, text)
	}
	size, err := strconv.ParseInt(lines[1], 10, 64)
	if err != nil || size < 1 {
		return 0, fmt.Errorf("checkpoint: tree size %q", lines[1])
	}
	return size, nil
}

func summary(o *options, workers []*worker, seconds float64) *report {
	r := &report{
		Target: o.target, Mode: o.mode, Clients: o.clients, Batch: o.batch, Payload: o.payload, Seconds: seconds,
	}
	times := []time.Duration{}
	for _, w := range workers {
		times = append(times, w.times...)
		r.Records += w.records
		r.Acknowledged += w.acked
		r.Bytes += w.total
		r.Errors += w.errors
		r.FirstErrors = append(r.FirstErrors, w.messages...)
	}
	r.FirstErrors = r.FirstErrors[:min(5, len(r.FirstErrors))]
	r.Requests = int64(len(times))
	r.Rate = float64(r.Records) / seconds
	slices.Sort(times)
	// The nearest-rank method, as percentile() of statistics.ts.
	at := func(q float64) float64 {
		if len(times) == 0 {
			return 0
		}
		rank := max(1, int(math.Ceil(q*float64(len(times)))))
		return float64(times[rank-1]) / float64(time.Millisecond)
	}
	r.P50, r.P90, r.P99, r.Max = at(0.5), at(0.9), at(0.99), at(1)
	return r
}
