/** The README.txt of a ledger directory: for a reader who has the directory and none of this software. */

/** Marks the shell lines in README.txt, so that a reader, and a test, can cut them out. */
export const SHELL_MARK = '# ---- shell lines: everything between these two marks ----'

const SHELL = String.raw`
N=0                                  # the entry to check, counted from 0

# 5 -> 005, 1234067 -> x001/x234/067
path() {
  o=$(printf %03d $(($1 % 1000))); n=$(($1 / 1000))
  while [ $n -gt 0 ]; do o=x$(printf %03d $((n % 1000)))/$o; n=$((n / 1000)); done
  echo $o
}

# the newest tail file that starts at or before entry $1
tailfile() {
  for f in tail/*; do
    s=\${f#tail/}; while [ "\${s#0}" != "$s" ] && [ "$s" != 0 ]; do s=\${s#0}; done
    if [ -f "$f" ] && [ "$s" -le $1 ]; then echo "$f $s"; fi
  done | tail -n 1
}

# the base64 line of entry $1: from its bundle, or from the tail
entry() {
  b=tile/entries/$(path $(($1 / 256))).b64
  if [ -f $b ]; then sed -n $(($1 % 256 + 1))p $b; return; fi
  b=tile/entries/$(path $(($1 / 256))).p
  for p in $b/*.b64; do if [ -f $p ]; then sed -n $(($1 % 256 + 1))p $p; return; fi; done
  set -- $1 $(tailfile $1); part=edge; i=$3
  while IFS= read -r line; do
    case $part in
      edge)    if [ -z "$line" ]; then part=entries; fi ;;
      entries) if [ -z "$line" ]; then part=text
               elif [ $i -eq $1 ]; then echo "$line"; return
               else i=$((i + 1)); fi ;;
      text)    if [ -z "$line" ]; then part=sigs; fi ;;
      sigs)    if [ -z "$line" ]; then part=entries; fi ;;
    esac
  done < $2
}

# the hash of what comes in, as base64: sha256sum prints hex, two digits a byte
hash() {
  h=$(sha256sum); h=\${h%% *}
  printf "$(printf '\\%03o' $(echo $h | sed 's/../0x& /g'))" | base64
}
leaf() { { printf '\000'; entry $1 | base64 -d; } | hash; }
node() { { printf '\001'; echo $1 | base64 -d; echo $2 | base64 -d; } | hash; }

# the hash over the 2^$1 entries from number $2 * 2^$1 on: a line of a tile, or the hash of its two halves
subtree() (
  t=tile/$(($1 / 8))/$(path $(($2 / 256))).b64
  if [ $(($1 % 8)) -eq 0 ] && [ -f $t ]; then sed -n $(($2 % 256 + 1))p $t
  elif [ $1 -eq 0 ]; then leaf $2
  else node $(subtree $(($1 - 1)) $(($2 * 2))) $(subtree $(($1 - 1)) $(($2 * 2 + 1))); fi
)

# the root hash of the first $1 entries (at least one): RFC 6962, section 2.1
root() {
  l=0; left=$1; r=
  while [ $left -gt 0 ]; do
    if [ $((left % 2)) -eq 1 ]; then
      s=$(subtree $l $((left - 1)))
      if [ -z "$r" ]; then r=$s; else r=$(node $s $r); fi
    fi
    left=$((left / 2)); l=$((l + 1))
  done
  echo $r
}

echo "entry $N:"; entry $N | base64 -d; echo
have=$(leaf $N); want=$(subtree 0 $N)
if [ "$have" = "$want" ]; then echo "leaf hash:  true  $have"; else echo "leaf hash:  FALSE $have, the tile says $want"; fi
size=$(sed -n 2p checkpoint); have=$(root $size); want=$(sed -n 3p checkpoint)
if [ "$have" = "$want" ]; then echo "root hash:  true  $have"; else echo "root hash:  FALSE $have, the checkpoint says $want"; fi
`.replaceAll('\\${', '${')

const SIGNATURE = String.raw`
  sed '/^$/,$d' checkpoint > /tmp/text
  key=$(sed 's/^[^+]*+[^+]*+//' keys/ed25519.vkey)        # base64 of a type byte and the 32-byte public key
  { printf '\060\052\060\005\006\003\053\145\160\003\041\000'; echo $key | base64 -d | tail -c 32; } > /tmp/key
  sed -n 's/^— .* //p' checkpoint | head -n 1 | base64 -d | tail -c 64 > /tmp/signature
  openssl pkeyutl -verify -pubin -keyform DER -inkey /tmp/key -rawin -in /tmp/text -sigfile /tmp/signature
`.slice(1)

/** The text of README.txt in the directory of the ledger `origin`. */
export function readmeText(origin: string): string {
  return `This directory is a ledger: records that were written once and are never changed.

Its name (origin): ${origin}

Everything in it is plain text. cat, base64, sed and sha256sum are enough to read it and to check it.

  origin                  the name, one line
  keys/NAME.vkey          the public keys that check the signatures (https://c2sp.org/signed-note)
  checkpoint              the signed state: name, number of entries, root hash (https://c2sp.org/tlog-checkpoint)
  tile/entries/000.b64    256 entries, one a line, base64 (RFC 4648, section 4)
  tile/0/000.b64          the SHA-256 hashes of these 256 entries, one a line, base64
  tile/1/000.b64          the hashes over 256 full tiles of level 0 each, and so on upwards
  tile/…/000.p/17.b64     the same, not yet full: 17 lines (in exports only, which have no tail/)
  tail/000000000512       the newest entries, from number 512 on: hashes of the tree before them, an empty line, and
                          then again and again: entries, an empty line, a signed checkpoint, an empty line; where
                          there are several, an entry is in the newest that begins at or before it
  audit/                  a ledger of the same kind: who read what, and when
  lock tmp/ cache/        working files of the running program; not part of the ledger

Entry number n (from 0) is line n % 256 + 1 of tile/entries/<n / 256>.b64, or in the tail. Tile numbers are written with at
least three digits, 1234067 as x001/x234/067. An entry is a header of lines "name: value", an empty line, and the record's
bytes. A record that is larger than 65,535 bytes with its header is split over consecutive entries: the first tells "parts",
"length" and "sha256" of the whole, the others tell "part: 2/5"; put together in order they are the record.

The hash of an entry is SHA-256 of a zero byte and the entry; the hash of two subtrees is SHA-256 of a one byte and their two
hashes (RFC 6962, section 2.1). The root hash in the checkpoint is that of the tree over all entries: with it, no entry can be
changed, removed, or put in between without a new signature. The tiles are those of https://c2sp.org/tlog-tiles.

These lines, for any POSIX shell, print entry N and check it and the whole tree against the checkpoint. Run them in this
directory, with the number wanted in place of 0:

${SHELL_MARK}
${SHELL.trim()}
${SHELL_MARK}

The signature on the checkpoint (Ed25519, RFC 8032) is over its text up to the first empty line. With OpenSSL:

${SIGNATURE}`
}
