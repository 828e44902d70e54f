//go:build ignore

// Prints interop.json, the output of the Go implementations, for the TypeScript tests.
// Needs golang.org/x/mod v0.42.0, filippo.io/torchwood v0.9.0, filippo.io/mldsa v1.0.0, golang.org/x/crypto v0.58.0.
// Keys and texts are fixed; the Ed25519 cosignatures carry the time of the run.
package main

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"

	"filippo.io/mldsa"
	"filippo.io/torchwood"
	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func seed(s string) []byte {
	h := sha256.Sum256([]byte(s))
	return h[:]
}

func keyText(name string, alg byte, pub []byte) string {
	return fmt.Sprintf("%s+%08x+%s", name, keyID(name, alg, pub),
		base64.StdEncoding.EncodeToString(append([]byte{alg}, pub...)))
}

func keyID(name string, alg byte, pub []byte) uint32 {
	h := sha256.Sum256(append([]byte(name+"\n"+string([]byte{alg})), pub...))
	return binary.BigEndian.Uint32(h[:])
}

func ed25519Key(name string) (skey, vkey string) {
	s := seed(name)
	pub := ed25519.NewKeyFromSeed(s).Public().(ed25519.PublicKey)
	return fmt.Sprintf("PRIVATE+KEY+%s+%08x+%s", name, keyID(name, 1, pub),
		base64.StdEncoding.EncodeToString(append([]byte{1}, s...))), keyText(name, 1, pub)
}

type Note struct {
	Skey string `json:"skey"`
	Vkey string `json:"vkey"`
	Text string `json:"text"`
	Note string `json:"note"`
}

func notes() (all []Note) {
	for name, text := range map[string]string{
		"example.org/log":   "one line\n",
		"PeterNeumann":      "two lines\n\nand an empty one between\n",
		"Größe/—/日本語":       "Ünïcödé \U0001F600 \uFFFD\n",
		"example.org/empty": "\n",
	} {
		skey, vkey := ed25519Key(name)
		signed := must(note.Sign(&note.Note{Text: text}, must(note.NewSigner(skey))))
		all = append(all, Note{skey, vkey, text, string(signed)})
	}
	return
}

type hashStore []tlog.Hash

func (s hashStore) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	hashes := make([]tlog.Hash, len(indexes))
	for i, index := range indexes {
		hashes[i] = s[index]
	}
	return hashes, nil
}

func entry(i int64) []byte { return []byte(fmt.Sprintf("entry %d", i)) }

func tree(size int64) (s hashStore) {
	for i := range size {
		s = append(s, must(tlog.StoredHashes(i, entry(i), s))...)
	}
	return
}

type Proof struct {
	A     int64    `json:"a"`
	B     int64    `json:"b"`
	Proof []string `json:"proof"`
}

type Tree struct {
	Roots       map[int64]string `json:"roots"`
	Inclusion   []Proof          `json:"inclusion"`
	Consistency []Proof          `json:"consistency"`
}

func proof[T ~[]tlog.Hash](a, b int64, hashes T) Proof {
	texts := []string{}
	for _, h := range hashes {
		texts = append(texts, h.String())
	}
	return Proof{a, b, texts}
}

func trees(s hashStore) Tree {
	t := Tree{Roots: map[int64]string{}}
	sizes := []int64{1, 2, 3, 255, 256, 257, 1000, 65535, 65536, 65537, 70000}
	for i, size := range sizes {
		t.Roots[size] = must(tlog.TreeHash(size, s)).String()
		for _, index := range []int64{0, size / 3, size - 1} {
			t.Inclusion = append(t.Inclusion, proof(index, size, must(tlog.ProveRecord(size, index, s))))
		}
		for _, old := range sizes[:i+1] {
			if old != size && (i-1 < 3 || old > 200) {
				t.Consistency = append(t.Consistency, proof(old, size, must(tlog.ProveTree(size, old, s))))
			}
		}
	}
	return t
}

type NewTiles struct {
	From  int64    `json:"from"`
	To    int64    `json:"to"`
	Paths []string `json:"paths"`
}

func newTiles() (all []NewTiles) {
	for _, p := range [][2]int64{{0, 1}, {0, 256}, {255, 257}, {300, 301}, {256, 512}, {65000, 70000}, {65535, 65536},
		{1<<32 - 3, 1<<32 + 700}, {1<<40 - 1, 1 << 40}, {1<<53 - 300, 1<<53 - 1}} {
		n := NewTiles{From: p[0], To: p[1]}
		for _, t := range tlog.NewTiles(8, p[0], p[1]) {
			n.Paths = append(n.Paths, torchwood.TilePath(t))
		}
		all = append(all, n)
	}
	return
}

func mldsaCosignature(name, origin string, time uint64, size int64, root tlog.Hash) (vkey, message, line string) {
	key := must(mldsa.NewPrivateKey(mldsa.MLDSA44(), seed(name)))
	pub := key.PublicKey().Bytes()
	var b cryptobyte.Builder
	b.AddBytes([]byte("subtree/v1\n\x00"))
	b.AddUint8LengthPrefixed(func(b *cryptobyte.Builder) { b.AddBytes([]byte(name)) })
	b.AddUint64(time)
	b.AddUint8LengthPrefixed(func(b *cryptobyte.Builder) { b.AddBytes([]byte(origin)) })
	b.AddUint64(0)
	b.AddUint64(uint64(size))
	b.AddBytes(root[:])
	m := b.BytesOrPanic()
	sig := must(key.SignDeterministic(m, nil))
	var s cryptobyte.Builder
	s.AddUint32(keyID(name, 6, pub))
	s.AddUint64(time)
	s.AddBytes(sig)
	return keyText(name, 6, pub), hex.EncodeToString(m),
		fmt.Sprintf("— %s %s\n", name, base64.StdEncoding.EncodeToString(s.BytesOrPanic()))
}

type Cosigned struct {
	LogSkey      string            `json:"logSkey"`
	LogVkey      string            `json:"logVkey"`
	Note         string            `json:"note"`
	MldsaName    string            `json:"mldsaName"`
	MldsaSeed    string            `json:"mldsaSeed"`
	MldsaVkey    string            `json:"mldsaVkey"`
	MldsaTime    uint64            `json:"mldsaTime"`
	MldsaMessage string            `json:"mldsaMessage"`
	MldsaLine    string            `json:"mldsaLine"`
	Witnesses    map[string]string `json:"witnesses"`
	Policy       string            `json:"policy"`
	Index        int64             `json:"index"`
	Proof        string            `json:"proof"`
}

func cosigned(s hashStore) (c Cosigned) {
	const origin, size, index, time = "example.org/log", 70000, 4711, 1795370400
	root := must(tlog.TreeHash(size, s))
	c.LogSkey, c.LogVkey = ed25519Key(origin)
	c.Index = index
	c.Witnesses = map[string]string{}
	signers := []note.Signer{must(note.NewSigner(c.LogSkey))}
	for _, name := range []string{"witness.example/1", "witness.example/2"} {
		w := must(torchwood.NewCosignatureSigner(name, ed25519.NewKeyFromSeed(seed(name))))
		c.Witnesses[name] = w.Verifier().String()
		signers = append(signers, w)
	}
	text := torchwood.Checkpoint{Origin: origin, Tree: tlog.Tree{N: size, Hash: root}}.String()
	c.Note = string(must(note.Sign(&note.Note{Text: text}, signers...)))
	c.MldsaName, c.MldsaTime = "witness.example/3", time
	c.MldsaSeed = hex.EncodeToString(seed(c.MldsaName))
	c.MldsaVkey, c.MldsaMessage, c.MldsaLine = mldsaCosignature(c.MldsaName, origin, time, size, root)
	c.Policy = "# two Ed25519 witnesses\nlog " + c.LogVkey + "\nwitness w1 " + c.Witnesses["witness.example/1"] +
		"\nwitness w2 " + c.Witnesses["witness.example/2"] + " https://witness.example/2\ngroup both all w1 w2\nquorum both\n"
	c.Proof = string(torchwood.FormatProofWithExtraData(index, []byte("opaque"), must(tlog.ProveRecord(size, index, s)), []byte(c.Note)))
	if err := torchwood.VerifyProof(must(torchwood.ParsePolicy([]byte(c.Policy))), tlog.RecordHash(entry(index)), []byte(c.Proof)); err != nil {
		panic(err)
	}
	return
}

func main() {
	s := tree(70000)
	out := json.NewEncoder(os.Stdout)
	out.SetEscapeHTML(false)
	out.SetIndent("", " ")
	if err := out.Encode(map[string]any{
		"notes": notes(), "tree": trees(s), "newTiles": newTiles(), "cosigned": cosigned(s),
	}); err != nil {
		panic(err)
	}
}
