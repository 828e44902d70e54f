// Tessera is the other side of the benchmark: a minimal HTTP server over the POSIX driver of
// github.com/transparency-dev/tessera, with every setting that matters to its speed as a flag.
//
//	POST /add          the body is one entry
//	POST /batch        each line of the body is one entry; answered when all of them are
//	GET  /checkpoint, /tile/...   C2SP tlog-tiles, from the files
//
// With -await=integrated an answer is sent when Tessera's futures resolve: its POSIX driver has then written the
// entry bundles, the hash tiles and its tree state with O_SYNC and synced their directories, so the entries are
// durable and have their index for good, but no signed checkpoint covers them yet. With -await=published the answer
// waits for, and carries, a published checkpoint that covers them.
//
// No antispam (deduplication) is configured: Tessera is faster without it.
package main

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/transparency-dev/tessera"
	"github.com/transparency-dev/tessera/storage/posix"
	"golang.org/x/mod/sumdb/note"
)

// maxBody is the largest request, 64 MiB.
const maxBody = 64 << 20

type server struct {
	add     func(context.Context, *tessera.Entry) tessera.IndexFuture
	awaiter *tessera.PublicationAwaiter // nil: answer when integrated
}

// answer is the body that both writing routes send.
type answer struct {
	First      uint64 `json:"first"`
	Last       uint64 `json:"last"`
	Checkpoint string `json:"checkpoint,omitempty"`
}

func main() {
	dir := flag.String("dir", "", "directory of the log")
	listen := flag.String("listen", "127.0.0.1:0", "address")
	origin := flag.String("origin", "bench.invalid/tessera", "checkpoint origin")
	vkey := flag.String("vkey", "", "file to write the verifier key to")
	batchSize := flag.Uint("batch-size", tessera.DefaultBatchMaxSize, "WithBatching: entries")
	batchAge := flag.Duration("batch-age", tessera.DefaultBatchMaxAge, "WithBatching: age")
	interval := flag.Duration("checkpoint-interval", time.Second, "WithCheckpointInterval")
	await := flag.String("await", "integrated", "integrated or published")
	poll := flag.Duration("poll", 5*time.Millisecond, "how often published awaits look at the checkpoint")
	flag.Parse()
	if err := run(*dir, *listen, *origin, *vkey, *await, *poll, *batchSize, *batchAge, *interval); err != nil {
		log.Fatal(err)
	}
}

func run(dir, listen, origin, vkeyFile, await string, poll time.Duration, batchSize uint, batchAge, interval time.Duration) error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	signer, err := newSigner(origin, vkeyFile)
	if err != nil {
		return err
	}
	driver, err := posix.New(context.Background(), posix.Config{Path: dir})
	if err != nil {
		return err
	}
	options := tessera.NewAppendOptions().
		WithCheckpointSigner(signer).
		WithCheckpointInterval(interval).
		WithBatching(batchSize, batchAge).
		WithPushback(1 << 20)
	appender, shutdown, reader, err := tessera.NewAppender(context.Background(), driver, options)
	if err != nil {
		return err
	}
	s := &server{add: appender.Add}
	switch await {
	case "integrated":
	case "published":
		s.awaiter = tessera.NewPublicationAwaiter(context.Background(), reader.ReadCheckpoint, poll)
	default:
		return fmt.Errorf("-await %q: want integrated or published", await)
	}
	l, err := net.Listen("tcp", listen)
	if err != nil {
		return err
	}
	fmt.Printf("http://%s/\n", l.Addr())
	web := &http.Server{Handler: s.routes(dir), ReadHeaderTimeout: 5 * time.Second}
	go func() {
		<-ctx.Done()
		bounded, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		_ = web.Shutdown(bounded)
	}()
	if err := web.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	bounded, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	return shutdown(bounded)
}

// newSigner always returns the same key, so that a log can be opened again.
func newSigner(origin, vkeyFile string) (note.Signer, error) {
	seed := bytes.NewReader(make([]byte, ed25519.SeedSize))
	skey, vkey, err := note.GenerateKey(seed, origin)
	if err != nil {
		return nil, err
	}
	if vkeyFile != "" {
		if err := os.WriteFile(vkeyFile, []byte(vkey+"\n"), 0o644); err != nil {
			return nil, err
		}
	}
	return note.NewSigner(skey)
}

func (s *server) routes(dir string) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(http.ResponseWriter, *http.Request) {})
	mux.HandleFunc("POST /add", func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		s.write(w, r, [][]byte{body})
	})
	mux.HandleFunc("POST /batch", func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		s.write(w, r, bytes.Split(bytes.TrimSuffix(body, []byte("\n")), []byte("\n")))
	})
	mux.HandleFunc("GET /checkpoint", serveFile(dir, "text/plain; charset=utf-8", "no-cache"))
	mux.HandleFunc("GET /tile/", serveFile(dir, "application/octet-stream", "max-age=31536000, immutable"))
	return mux
}

// write adds the entries and answers when the last of them is in: Tessera takes them in order.
func (s *server) write(w http.ResponseWriter, r *http.Request, entries [][]byte) {
	futures := make([]tessera.IndexFuture, len(entries))
	for i, e := range entries {
		futures[i] = s.add(r.Context(), tessera.NewEntry(e))
	}
	var a answer
	for i, f := range futures {
		index, err := f()
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		if i == 0 {
			a.First = index.Index
		}
		a.Last = index.Index
	}
	if s.awaiter != nil {
		_, cp, err := s.awaiter.Await(r.Context(), futures[len(futures)-1])
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		a.Checkpoint = string(cp)
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(a)
}

func serveFile(dir, contentType, cache string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		name := filepath.Join(dir, filepath.Clean(r.URL.Path))
		data, err := os.ReadFile(name)
		if err != nil {
			http.NotFound(w, r)
			return
		}
		w.Header().Set("Content-Type", contentType)
		w.Header().Set("Cache-Control", cache)
		_, _ = w.Write(data)
	}
}
