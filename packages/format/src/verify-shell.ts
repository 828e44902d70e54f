/**
 * `verify.sh`, the script in a ledger directory that verifies the whole ledger without any of this software. It needs a POSIX shell
 * (dash, busybox ash, BSD sh), coreutils, sed, awk and openssl.
 */
import { SHELL } from './readme-shell.ts'

/** The SHA-256 of {@link VERIFY_SH} in UTF-8, which README.txt names. A test compares it with the text. */
export const VERIFY_SH_SHA256 = '3e9d6526649f99c72452406aeec5e08c0734815f16e83302bb3a0f31db17517a'

/** The script. It is the same for every ledger. */
export const VERIFY_SH: string = String.raw`#!/bin/sh
# Verifies a service-fs ledger: the one in the directory of this file, or in DIR. Needs a POSIX shell, coreutils, sed, awk and
# openssl 3. README.txt, beside this file, explains the format.
#
#   sh verify.sh [-d DIR] [-k VKEY]...                       every entry, tile, edge, commit and signature, and audit/ too
#   sh verify.sh [-d DIR] [-k VKEY] entry N                  one entry, counted from 0; prints it
#   sh verify.sh [-d DIR] [-k VKEY] proof FILE RECORD        that the .tlog-proof FILE is of the bytes in the file RECORD
#   sh verify.sh [-d DIR] [-k VKEY] consistency OLD NEW      two checkpoints in files; both must be of this ledger's tree
#
# Exit status: 0 true; 1 false, after lines on standard error that say what and where; 2 wrong use.
# Without -k the keys are those in keys/: then a ledger that somebody made again as a whole, with other keys, is true too.

LC_ALL=C; export LC_ALL; umask 077; unset CDPATH
say() { printf '%s\n' "$*" | command cat -v >&2; } # cat -v spells out control characters
usage() { command sed -n '/^# *sh verify/s/^# *//p' "$0" >&2; exit 2; }
D=. PIN= OPTIND=1 NL='
'
case $0 in */*) D=\${0%/*} ;; esac
while getopts d:k: o; do
  case $o in d) D=$OPTARG ;; k) PIN=$PIN$OPTARG$NL ;; *) usage ;; esac
done
shift $((OPTIND - 1))
abs() { case $1 in /*) printf '%s\n' "$1" ;; *) printf '%s\n' "$PWD/$1" ;; esac; }
case \${1-all}/$# in
  all/0 | entry/2) ;;
  proof/3 | consistency/3) FILE1=$(abs "$2"); FILE2=$(abs "$3") ;;
  *) usage ;;
esac
case $D in '') usage ;; -*) D=./$D ;; esac
if [ -n "\${TMPDIR-}" ]; then TMPDIR=$(abs "$TMPDIR"); export TMPDIR; fi
cd "$D" || exit 2
command -v openssl > /dev/null || { say "there is no openssl, which the signatures need"; exit 2; }
TOP=$(mktemp -d) || exit 2
trap 'rm -rf "$TOP" \${SHM:+"$SHM"}' EXIT
HERE=$TOP/h; if [ -z "\${TMPDIR-}" ] && SHM=$(mktemp -d /dev/shm/verify.XXXXXX 2> /dev/null); then HERE=$SHM; else SHM=; mkdir "$HERE"; fi
trap 'exit 1' HUP INT TERM

# A tool that fails, for instance because the disk is full, may hide damage. So each failure overwrites the file "whole", which needs
# no program and no space; after that the script prints no "true:".
echo whole > "$TOP/whole" && exec 9<> "$TOP/whole" || exit 2
lost() { printf 'lost!' >&9; say "$1 failed"; rm -f "$TOP/whole"; return 1; }
whole() { read -r whole < "$TOP/whole" && [ "$whole" = whole ]; } 2> /dev/null
for t in awk cat cp cut head mkdir mv od sed sort tee tr wc; do eval "$t() { command $t \"\$@\" || lost $t; }"; done
# checks that the disk is not full: some tools do not notice that a write failed
room() { printf %8192s . > "$TOP/room" && rm "$TOP/room" || lost "a write to $TOP"; }

if sha256sum < /dev/null > /dev/null 2>&1; then SHA=sha256sum; else SHA='openssl dgst -sha256 -r'; fi
SHA256=$SHA
# sets the hash of the second tree $1: its program, its length, and the hash of no bytes. openssl has no BLAKE3
hash_of() {
  case $1 in
    sha3-256) SHA='openssl dgst -sha3-256 -r' HB=32 EMPTY='p//G+L8e12ZRwUdWoGHWYvWA/03kO0n6gtgKS4D4Q0o=' ;;
    sha2-512) SHA='openssl dgst -sha512 -r' HB=64 EMPTY='z4PhNX7vuL3xVChQ1m2AB9Yg5AULVxXcg/SpIdNs6c5H0NE8XYXysP+DGNKHfuwvY7kxvUdBeoGlODJ6+SfaPg==' ;;
  esac
}
HB=32 EMPTY='47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU='; export HB EMPTY
if [ "$(echo AAAA | base64 -d 2> /dev/null | wc -c)" -eq 3 ]; then b64d() { base64 -d; }; else b64d() { fold -w 64 | openssl base64 -d; }; fi

# ---- awk that all programs below share. Bytes are written as " 163 145", a blank and three octal digits each.
LIB='
BEGIN { W = ENVIRON["W"]; HB = ENVIRON["HB"] + 0; for (i = 0; i < 256; i++) { c = sprintf(" %03o", i); O[i] = c; X[sprintf("%02x", i)] = c
  if (i > 31 && i < 127) { c = sprintf("%c", i); C[O[i]] = c; P[c] = O[i] } }
  t = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
  for (i = 0; i < 64; i++) { c = substr(t, i + 1, 1); V[c] = i; A[i] = c } V["="] = 0; P["\n"] = " 012"; c = t = "" }
function bad(m) { print m >> (W "/bad") }
# 5 -> 005, 1234067 -> x001/x234/067
function path(n, p) { p = sprintf("%03d", n % 1000)
  while (n >= 1000) { n = int(n / 1000); p = "x" sprintf("%03d", n % 1000) "/" p } return p }
function tile(l, n, w) { return "tile/" l "/" path(n) (w < 256 ? ".p/" w : "") ".b64" }
# the number of bytes in the canonical base64 s; -1 for other text
function b64(s, n) { n = length(s); if (n % 4 || s ~ /[^A-Za-z0-9+\/=]/) return -1
  if (s !~ /=/) return n / 4 * 3
  if (s ~ /^[^=]*[AEIMQUYcgkosw048]=$/) return n / 4 * 3 - 1
  return s ~ /^[^=]*[AQgw]==$/ ? n / 4 * 3 - 2 : -1 }
function ishash(s) { return b64(s) == HB }
function octal(s, i, v, r) { r = ""
  for (i = 1; i < length(s); i += 4) { v = ((V[substr(s, i, 1)] * 64 + V[substr(s, i + 1, 1)]) * 64 + V[substr(s, i + 2, 1)]) * 64 + V[substr(s, i + 3, 1)]
    r = r O[int(v / 65536)] O[int(v / 256) % 256] O[v % 256] }
  if (s ~ /==$/) return substr(r, 1, length(r) - 8)
  return s ~ /=$/ ? substr(r, 1, length(r) - 4) : r }
function bytes(s, i, r) { r = ""; for (i = 1; i <= length(s); i++) r = r P[substr(s, i, 1)]; return r }
function text(s, i, r) { r = ""; for (i = 1; i <= length(s); i += 4) r = r (substr(s, i, 4) in C ? C[substr(s, i, 4)] : "?"); return r }
function num(s) { sub(/^0+/, "", s); return s + 0 } # some awks take 010 for 8
function isnum(s) { return s ~ /^(0|[1-9][0-9]*)$/ && (length(s) < 16 || (length(s) == 16 && s "" <= "9007199254740991")) }
# reads the next line of F, which has Z bytes, into x; returns 0 if the line has a NUL byte or no line feed
function next_line() { if ((getline x < F) <= 0) return 0; AT += length(x) + 1; return AT <= Z }
function open_file(f, z) { F = f; Z = z; AT = 0 }
# reads lines 1 to w of the tile f, of z bytes, into T. Returns 0 if f is no tile of that width
function read_tile(f, z, w, hashes, n, ok) { open_file(f, z); ok = 1
  for (n = 0; n < w && next_line(); n++) { T[n + 1] = x
    if (hashes ? !ishash(x) : b64(x) < 0 || b64(x) > 65535) { bad(f " line " n + 1 ": expected canonical base64 of " (hashes ? HB : "at most 65535") " bytes"); ok = 0 } }
  if (n < w || AT != Z) { bad(f ": expected " w " lines, each with a line feed, and no more"); ok = 0 }
  close(f); return ok }
# reads the note in the lines N[1] to N[n]: sets SIZE, ROOT and E, the number of its empty line. Returns the problem, if any
function note(n, i, t) {
  for (E = n; E > 0 && N[E] != ""; E--);
  for (i = 1; i <= n; i++) { t = substr(N[i], 1, 4) == "\342\200\224 " ? substr(N[i], 5) : N[i]; if (t ~ /[^ -~]/ && !(t in TEXT)) { TEXT[t]; print t >> (W "/text") } }
  for (i = 1; i <= n; i++) if (N[i] ~ /[\001-\037\177]/ || (N[i] == "" && i != E)) return "not a signed checkpoint: line " i
  if (E < 4 || E == n || n - E > 100) return "expected a checkpoint of at least 3 lines, an empty line and signatures"
  if (!isnum(N[2]) || !ishash(N[3])) return "expected a size and a root hash"
  for (i = E + 1; i <= n; i++) if (split(N[i], L, " ") != 3 || N[i] != "\342\200\224 " L[2] " " L[3] || L[2] ~ /\+/ || b64(L[3]) < 5) return "not a signature line: " N[i]
  SIZE = N[2] + 0; ROOT = N[3]; return "" }
# adds the signatures of that note by known keys to the list of signatures to check
function sign(where, n, i, k, f, s, known) {
  if (N[1] != ENVIRON["ORIGIN"]) { bad(where ": expected the origin " ENVIRON["ORIGIN"] ", found " N[1]); return }
  for (i = E + 1; i <= n; i++) { split(N[i], L, " "); s = octal(L[3]); k = substr(s, 1, 16)
    if (L[2] == N[1] && index(ENVIRON["KEYS"], k ",")) { known++; f = "g" G "." ++SIGS; gsub(/ /, "", k)
      print k " " f " " where >> (W "/sigs"); s = substr(s, 17); gsub(/ /, "\\", s)
      print "printf \047" s "\047 > " f ".s" >> (W "/mksig")
      s = W "/" f ".t"; for (k = 1; k < E; k++) print N[k] > s; close(s) } }
  if (!known) bad(where ": no signature by a known key") }
# reads a note from a file into N; returns the number of its lines, 0 if the file is not lines
function read_note(f, z, n) { open_file(f, z); for (n = 0; next_line();) N[++n] = x; close(f); return AT == Z ? n : 0 }
# returns whether s is UTF-8
function utf8(s) { if (s !~ / [23]/) return 1
  gsub(/ 3(0[2-7]|[12][0-7]|3[0-7]) 2[0-7][0-7]/, " 101", s)
  gsub(/ (340 2[4-7]|3(4[1-7]|5[0-467]) 2[0-7]|355 2[0-3])[0-7] 2[0-7][0-7]/, " 101", s)
  gsub(/ (360 2[2-7]|36[1-3] 2[0-7]|364 2[01])[0-7] 2[0-7][0-7] 2[0-7][0-7]/, " 101", s)
  return s !~ / [23]/ }
'
prog() { p=$LIB$1; shift; case \${1-} in -v) v=$2; shift 2; awk -v "$v" "$p" "$@" ;; *) awk "$p" "$@" ;; esac; }

# prints the hash of each line on standard input, a message: in octal, a tab, in base64. @N is the entry in the file big/N. All
# calls use the same files for messages: overwriting a file takes a fraction of the time of making and removing one
H() (
  cd "$HERE" || exit 1
  tr ' ' '\\' | awk 'function flush() { if (names) print "$SHA" names; names = ""; n = 0 }
    /^@/ { flush(); print "{ printf \047\\000\047; b64d < \"$W\"/big/" substr($0, 2) "; } | $SHA"; next }
    { f = n++ + 1000; names = names " " f; print "printf \047" $0 "\047 > " f; if (n == 1024) flush() }
    END { flush(); print "echo end " NR }' > mk
  . ./mk | prog 'BEGIN { for (i = 0; i < 4096; i++) Q[sprintf("%03x", i)] = A[int(i / 64)] A[i % 64]
      for (i = 0; i < 16; i++) Y[sprintf("%x", i)] = A[4 * i] "="
      for (i = 0; i < 256; i++) Y[sprintf("%02x", i)] = A[int(i / 4)] A[i % 4 * 16] "==" }
    /^end/ { all = $2 == NR - 1; next }
    { sub(/^\\/, ""); o = b = ""; h = 2 * HB; for (i = 1; i < h; i += 2) o = o X[substr($0, i, 2)]
      for (i = 1; i < h - 1; i += 3) b = b Q[substr($0, i, 3)]
      print o "\t" b Y[substr($0, i, h + 1 - i)] }
    END { if (!all) exit 1 }'
)

stop() { # ends the check of this ledger if anything was found
  room
  if [ ! -s "$W/bad" ]; then whole && return 0; say "FALSE: $NAME. could not be checked, because a tool failed"; exit 1; fi
  sed -n "1,100s|^|FALSE: $NAME|p" "$W/bad" | cat -v >&2
  n=$(sed -n '$=' "$W/bad"); [ $n -le 100 ] || say "FALSE: $NAME... and $((n - 100)) more"
  exit 1
}
bad() { printf '%s\n' "$*" >> "$W/bad"; }
odd() { bad "$1: expected only files of a ledger"; }
octets() { od -An -v -to1 | tr -s ' '; }

# lists the files below $1
walk() {
  for f in "$1"/* "$1"/.[!.]* "$1"/..?*; do
    case $f in sha3-256/lock | sha3-256/tmp | sha3-256/cache | sha2-512/lock | sha2-512/tmp | sha2-512/cache | blake3/lock | blake3/tmp | blake3/cache) continue ;; esac
    if [ -h "$f" ]; then odd "$f"
    elif [ -d "$f" ]; then case $f in tile/* | sha3-256/* | sha2-512/* | blake3/*) walk "$f" ;; *) odd "$f" ;; esac
    elif [ -f "$f" ]; then case $f in *[!0-9a-z./-]*) odd "$f" ;; *) echo "$f" >> "$W/names" ;; esac
    elif [ -e "$f" ]; then odd "$f"; fi
  done
}

# makes "$W/list": the files of the ledger with their sizes. $1 is empty if there may be an audit/
list() {
  for f in * .[!.]* ..?*; do
    k=o; if [ -h "$f" ]; then :; elif [ -d "$f" ]; then k=d; elif [ -f "$f" ]; then k=f; elif [ ! -e "$f" ]; then continue; fi
    case $k/$f in
      ?/lock | ?/tmp | ?/cache) ;;
      f/README.txt | f/README-2.txt | f/verify.sh | f/origin | f/checkpoint) echo "$f" >> "$W/names" ;;
      d/keys | d/tail | d/tile | d/sha3-256 | d/sha2-512 | d/blake3) walk "$f" ;;
      d/audit) if [ -n "$1" ]; then odd "$f"; fi ;;
      *) odd "$f" ;;
    esac
  done
  prog 'function flush() { if (n) { while ((c | getline x) > 0) { split(x, v, " "); if (v[2] != "total") print v[1], v[2] } close(c) } n = 0 }
    { if (!n++) c = "wc -c"; c = c " " $0; if (n == 500 || length(c) > 30000) flush() } END { flush() }' "$W/names" > "$W/list"
  prog '$2 ~ /^keys\// && ($2 !~ /^keys\/[a-z0-9-]+\.vkey$/ || length($2) > 74) { bad($2 ": expected only files of a ledger") }
    $2 ~ /^tail\// { n = substr($2, 6); if (n !~ /^[0-9]+$/ || length(n) < 12 || (length(n) > 12 && n ~ /^0/) || length(n) > 16) bad($2 ": expected only files of a ledger") }
    $2 ~ /^(sha3-256|sha2-512|blake3)\// && $2 !~ /^[^\/]*\/(origin|checkpoint|left-out\.txt|keys\/ed25519\.vkey|tile\/[0-9]\/[x0-9\/]+\.b64)$/ { bad($2 ": expected only files of a second tree") }
    { m = $2 ~ /^tail/ ? $1 : $2 ~ /^tile\/entries/ ? 22369536 : $2 ~ /^tile/ ? 11520 : 1048576; if ($1 > m) bad($2 ": expected at most " m " bytes") }
    { have[$2] = $1 }
    END { n = split("origin checkpoint README.txt", v, " "); for (i = 1; i <= n; i++) if (!have[v[i]]) bad(v[i] ": expected the file, found nothing") }' "$W/list"
  [ "$(wc -l < "$W/names")" -eq "$(wc -l < "$W/list")" ] || bad "expected readable files, found one that is not"
  stop # reading these files may never end
}
bytes_of() { sed -n "s| $1\$||p" "$W/list"; }

text() { octets < "$1" | prog '{ s = s $0 } END { if (!utf8(s)) bad(name ": expected UTF-8") }' -v "name=$2"; }

# checks that README.txt is text, with the hash of verify.sh
readme() {
  text README.txt README.txt
  [ -f verify.sh ] || return 0
  h=$($SHA < verify.sh | cut -c 1-64)
  case $(command cat README.txt README-2.txt 2> /dev/null) in *$h*) ;; *) bad "verify.sh: README.txt does not name its hash, $h" ;; esac
}

# sets ORIGIN, and KEYS to the ids of its keys, and makes a file for each key. $1: the expected origin
identity() {
  ORIGIN=$(prog 'BEGIN { open_file("origin", z + 0); if (!next_line() || AT != Z) bad("origin: expected one line"); print x }' -v z="$(bytes_of origin)")
  if [ $((\${#ORIGIN} + 1)) -ne "$(bytes_of origin)" ] || [ \${#ORIGIN} -gt 4096 ]; then bad "origin: expected one line of at most 4096 bytes"; stop; fi
  export ORIGIN
  if [ "\${1:-$ORIGIN}" != "$ORIGIN" ]; then bad "origin: expected $1, found $ORIGIN"; fi
  prog '$2 ~ /^keys\// { open_file($2, $1); if (!next_line() || AT != Z) bad($2 ": expected one line"); else print $2 " " x; close(F) }' "$W/list" > "$W/own"
  [ -s "$W/own" ] || bad "keys: expected at least one verifier key, found none"
  n=$(wc -l < "$W/own"); if [ "$n" -gt 1000 ]; then bad "keys: expected at most 1000 files, found $n"; stop; fi
  printf %s "$PIN" | prog 'index($0, ENVIRON["ORIGIN"] "+") == 1 { print "-k " $0 }' > "$W/pinned"
  TRUST=-k; if [ ! -s "$W/pinned" ]; then TRUST=keys/; if [ -n "$PIN" ] && [ -z "$1" ]; then bad "-k: expected a key of $ORIGIN"; fi; fi
  # Anybody can sign for a key of low order. A y of at least p = 2^255 - 19 is not canonical. The last bit is the sign of x
  cat "$W/own" "$W/pinned" | prog 'function weak(k, y) {
      y = substr(k, 1, 125) (substr(k, 126, 1) % 2) substr(k, 127)
      return y ~ /^ 00[01]( 000)*$/ || y ~ /^ 3(5[4-7]|[67][0-7])( 377)* 177$/ || y == Y8 || y == Y9 }
    BEGIN { Y8 = " 046 350 225 217 302 262 047 260 105 303 364 211 362 357 230 360 325 337 254 005 323 306 063 071 261 070 002 210 155 123 374 005"
      Y9 = " 307 027 152 160 075 115 330 117 272 074 013 166 015 020 147 017 052 040 123 372 054 071 314 306 116 307 375 167 222 254 003 172" }
    { f = $1; x = substr($0, length(f) + 2); split(x, v, "+"); k = substr(x, length(v[1] v[2]) + 3)
    if (v[1] != ENVIRON["ORIGIN"] || length(v[2]) != 8 || v[2] ~ /[^0-9a-f]/ || b64(k) < 2) { bad(f ": expected a verifier key of the name " ENVIRON["ORIGIN"]); next }
    k = octal(k); if (k ~ /^ 001/ && length(k) != 132) { bad(f ": expected an Ed25519 key of 32 bytes"); next }
    if (k ~ /^ 001/ && weak(substr(k, 5))) { bad(f ": expected an Ed25519 key that is canonical and not of low order"); next }
    gsub(/ /, "\\", k); print f, v[2], k }' > "$W/keys"
  KEYS=; while read -r f id k; do
    h=$({ printf '%s\n' "$ORIGIN"; printf "$k"; } | $SHA256 | cut -c 1-8)
    [ "$h" = "$id" ] || { bad "$f: expected the key id $h, found $id"; continue; }
    case $f/$k in keys/*/\\001* | -k/\\001*) ;; *) continue ;; esac
    case $f in "$TRUST"*) ;; *) continue ;; esac
    id=$(echo $id | prog '{ for (i = 1; i < 8; i += 2) printf "%s", X[substr($0, i, 2)] }')
    KEYS="$KEYS$id,"; { printf '\060\052\060\005\006\003\053\145\160\003\041\000'; printf "\${k#????}"; } > "$W/k$(echo "$id" | tr -d ' ')"
  done < "$W/keys"
  export KEYS
}

# checks the signatures of all notes so far
signatures() (
  cd "$W" || exit 1
  [ -f sigs ] || exit 0
  . ./mksig
  while read -r id f where; do
    openssl pkeyutl -verify -pubin -keyform DER -inkey "k$id" -rawin -in "$f.t" -sigfile "$f.s" > /dev/null 2>&1 ||
      bad "$where: the signature is not one of the text"
  done < sigs
)

# reads the tail: writes the entries of bundle B, with their numbers, to "$W/tl/B"; also edges and commits
tail_files() {
  prog '$2 ~ /^tail\// { print num(substr($2, 6)), $0 }' "$W/list" | sort -n | sed 's/^[^ ]* //' > "$W/tails"
  prog 'BEGIN { for (f = W "/tails"; (getline x < f) > 0; n++) { split(x, v, " "); t = v[2]; if (n % 500 == 0) { if (c) print c; c = "cat" } c = c " " t } if (c) print c }' > "$W/cats"
  TR=; if [ "$(. "$W/cats" | tr -cd '\000' | wc -c)" -gt 0 ]; then # some awks end a line at a NUL byte: make it the byte 1
    TR=$W/; mkdir "$W/tail"; while read -r z f; do tr '\000\001' '\001\002' < "$f" > "$W/$f"; done < "$W/tails"
  fi; export TR
  prog 'function commit(n, m, from, b, k) {
      if (AT >= Z) return "end"
      for (n = 0; (ok = next_line()) && x != "" && !(n == 0 && x ~ /^\001/); n++) B[n] = x
      if (n == 0 && ent) { for (m = 0; ok && x !~ /[^\001]/; ok = next_line()) m++; if ((!ok && AT == Z) || x !~ /[^\001]/) return "fill"; return "expected entry lines" }
      if (!ok || x != "") return "expected an empty line after the entry lines"
      for (m = 0; m < n; m++) if ((b = b64(B[m])) < 1 || b > 65535) return "entry line " m + 1 " of the commit: expected canonical base64 of 1 to 65535 bytes"
      from = AT
      for (m = 0; (ok = next_line()) && x != "";) N[++m] = x
      for (N[++m] = ""; ok && (ok = next_line()) && x != "";) N[++m] = x
      if (!ok || AT - from > 65537) return "expected a signed checkpoint and an empty line that ends the commit"
      if (n == 0 && commits) return "expected at least one entry in the commit, found none"
      if ((x = note(k = m)) != "") return x
      for (m = 0; m < n; m++) { x = S + ent + m; if (int(x / 256) != last) { if (out) close(out); last = int(x / 256); out = W "/tl/" last }
        printf "%.0f %s\n", x, B[m] >> out }
      ent += n; commits++; x = sprintf("%.0f", S + ent); sign($2 " commit of size " x, k)
      if (SIZE != S + ent) bad($2 " (entry " S + ent - 1 "): expected a checkpoint of size " x ", found " N[2])
      print x, ROOT, $2 > (W "/commits")
      return "" }
    BEGIN { G = "t"; last = -1 }
    { S = num(substr($2, 6)); n = sprintf("%.0f", S); if (torn) print torn, n > (W "/torn"); torn = ""; print n > (W "/starts")
      open_file(ENVIRON["TR"] $2, $1); for (k = 0; S >= 1; S = int(S / 2)) k += S % 2; S = n + 0; ent = commits = 0; err = ""
      for (i = 1; i <= k && err == ""; i++) if (next_line() && ishash(x)) print n, i, x > (W "/edges"); else err = "line " i ": expected one of the " k " hashes of the right edge at " n
      if (err == "" && (!next_line() || x != "")) err = "line " k + 1 ": expected the empty line after the right edge at " n
      if (err != "") { bad($2 " " err); close(F); next }
      do { at = AT; err = commit() } while (err == "")
      close(F); if (!commits && err == "end") bad($2 ": expected a commit, found the end of the file")
      else if (err != "end" && err != "fill") { if (ent) torn = sprintf("%.0f %.0f %.0f", at, Z, S + ent) " " $2; else bad($2 " byte " at ": " err); why[$2] = err }
      if (commits) H = sprintf("%.0f %s", SIZE, ROOT); else H = n " -" }
    END { if (torn) print torn, "-" > (W "/torn"); if (NR) print H > (W "/newest") }' "$W/tails"
  [ ! -f "$W/torn" ] || while read -r at z end f next; do # docs: a commit that a power cut tore was never acknowledged
    tail -c +$((at + 1)) "$f" | head -c $((z - at)) | od -An -v -to1 | command awk -v o=$at -v len=$z '{ for (i = 1; i <= NF; i++) { v = $i; p = o + q++; fill = v == "000" || v == "012"
        if (q == 1 || p % 512 == 0) sector = 1
        if (!fill) { sector = 0; last = p; after = 0; a = b = "" } else if (++after == 1) a = v; else if (after == 2) b = v
        if (p % 512 == 511 && sector && !blank) blank = p + 1
        if (q == 1) { e = v == "012" ? o - 1 : -2 }
        if (v == "012" && v1 == "012") { if (sig && !sigend) sigend = p - 1; if (e > -2 && !text && p - 1 >= e + 2) text = p - 1; if (e == -2) e = p - 1 }
        if (v == "040" && v1 == "224" && v2 == "200" && v3 == "342" && (q == 4 || v4 == "012")) sig = 1
        v4 = v3; v3 = v2; v2 = v1; v1 = v } }
      END { if (!last || (sigend && sigend + 1 < last)) exit 1
        if ((blank && blank <= last) || a != "012" || b != "012" || !text || text > last) exit 0
        exit last + 3 == len || int((last + 512) / 512) * 512 - (last + 1) > 2 }' ||
      bad "$f byte $at: expected whole commits up to the end of the file"
    case $next in - | $end) ;; *) bad "$f: expected the next tail file to begin at entry $end, found $next" ;; esac
    say "note:  $NAME$f: the last commit is incomplete: it is being written, or was torn before it was acknowledged"
  done < "$W/torn"
}

# collects the entries of 16 bundles, from bundle 16 * $1 on: writes their numbers, lengths and places to "$W/len", and their base64 to
# "$W/pad", padded to whole rows of od. Of a long entry, only the beginning is there, and all of it in big/
collect() {
  prog 'BEGIN { size = ENVIRON["SIZE"]; first = ENVIRON["FIRST"]; A64 = "A"; while (length(A64) < 64) A64 = A64 A64
    for (f = W "/z/entries." g; (getline x < f) > 0;) { split(x, v, " "); if (v[2] == 256) full[v[1]] = v[3]; else part[v[1]] = part[v[1]] " " v[2] " " v[3] }
    for (b = 16 * g; b < 16 * g + 16 && 256 * b < size; b++) { w = size - 256 * b < 256 ? size - 256 * b : 256; src = ""; split("", e); name = tile("entries", b, w)
      n = split(part[b], v, " "); z = w == 256 ? full[b] : ""; for (i = 1; i < n; i += 2) if (v[i] == w) z = v[i + 1]
      if (z != "") { src = name; if (read_tile(name, z, w, 0)) for (i = 0; i < w; i++) e[i] = T[i + 1] }
      else if (w == 256 ? 256 * (b + 1) <= first : ENVIRON["EXPORT"]) { bad(name ": expected the file, found nothing"); src = name }
      split("", own); for (f = W "/tl/" b; (getline x < f) > 0;) { k = index(x, " "); i = substr(x, 1, k - 1) - 256 * b; x = substr(x, k + 1)
        if (i < w) { if (!(i in e)) { e[i] = x; own[i] } else if (e[i] != x) bad("tail: entry " 256 * b + i " is not as in " (i in own ? "an earlier file in tail/" : name)) } }
      close(f)
      for (j = 1; j < n; j += 2) if (v[j] != w && read_tile(tile("entries", b, v[j]), v[j + 1], v[j], 0))
        for (i = 0; i < v[j] && i < w; i++) if (T[i + 1] != e[i]) bad(tile("entries", b, v[j]) " line " i + 1 " (entry " 256 * b + i "): not as in " name)
      for (i = 0; i < w; i++) { place = i in own ? "tail" : name " line " i + 1; place = place " (entry " 256 * b + i ")"
        if (!(i in e)) { if (src == "") { bad(name ": expected entry " 256 * b + i " there or in the tail, found it in neither"); src = name } print "" > (W "/dead"); continue }
        n2 = b64(e[i]); if (n2 < 1) { bad(place ": expected an entry, found no byte"); print "" > (W "/dead"); continue }
        printf "%.0f %d %s\n", 256 * b + i, n2, place > (W "/len")
        x = e[i]; if (n2 > 6000) { f = W "/big/" (256 * b + i) % 4096; print x > f; close(f); x = substr(x, 1, 5504) }
        gsub(/=/, "A", x); print x substr(A64, 1, (64 - length(x) % 64) % 64) > (W "/pad") } } }' -v g=$1
}

# checks the collected entries, and writes the messages to hash to "$W/msgs". "$W/state" has the newest time and the open split record
entries() {
  b64d < "$W/pad" | octets | prog 'function val(s, max) { return length(s) > 0 && length(s) <= 4 * max && s !~ / (0[0-3][0-7]|177)/ && s !~ / 302 2[0-3]/ && utf8(s) }
    function istime(t, y, m, d) { if (length(t) != 24 || t !~ /^[0-9][0-9][0-9][0-9]-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-5][0-9]\.[0-9][0-9][0-9]Z$/) return 0
      y = num(substr(t, 1, 4)); m = num(substr(t, 6, 2)); d = num(substr(t, 9, 2))
      return m > 0 && m < 13 && substr(t, 12, 2) < 24 && d > 0 && d <= substr("312831303130313130313031", 2 * m - 1, 2) + (m == 2 && (y % 4 == 0 && (y % 100 || y % 400 == 0))) }
    function entry(n, k, h, fields, i, c, name, last, v, clock) {
      k = index(s, LF2); h = (k - 1) / 4 + 2; part = parts = len = sha = ""
      if (!k || h > 4095 || h > n) return "expected an empty line that ends the header"
      fields = split(substr(s, 1, k - 1), f, / 012/)
      if (f[1] != MAGIC) return "expected the first line service-fs/entry/v1"
      if (index(f[2], ID) != 1 || index(f[3], TYPE) != 1 || index(f[4], TIME) != 1) return "expected the header lines id, type and time"
      id = substr(f[2], 17); type = substr(f[3], 25); time = text(substr(f[4], 25))
      if (!val(id, 256)) return "id: expected 1 to 256 bytes of UTF-8 without control characters"
      if (!val(type, 255)) return "type: expected 1 to 255 bytes of UTF-8 without control characters"
      if (!istime(time)) return "time: expected a time, found " time
      for (i = 5; i <= fields; i++) { c = index(f[i], " 072 040"); name = c ? text(substr(f[i], 1, c - 1)) : ""; v = substr(f[i], c + 8)
        if (name !~ /^[a-z][a-z0-9-]*$/ || length(name) > 64 || name ~ /^(id|type|time)$/) return "header line " i ": expected a field"
        if (name "" <= last "") return "header line " i ": expected names in ascending order"
        if (v != "" && !val(v, 4095)) return "header line " i ": expected UTF-8 without control characters"
        last = name; if (name ~ /^(part|parts|length|sha256)$/) { v = text(v); if (name == "part") part = v; if (name == "parts") parts = v; if (name == "length") len = v; if (name == "sha256") sha = v } }
      if (part != "") { if (fields != 5 || split(part, v2, "/") != 2 || !isnum(v2[1]) || !isnum(v2[2]) || v2[1] < 2 || v2[1] + 0 > v2[2] + 0) return "part: expected K/N as the only field, found " part }
      else if (parts len sha != "") { if (!isnum(parts) || !isnum(len) || length(sha) != 64 || sha ~ /[^0-9a-f]/ || parts < 2 || parts + 0 != int((len + 61439) / 61440) || n - h != 61440)
        return "expected parts, length and sha256 of a record, and 61440 payload bytes" }
      HL = h; if (time "" < TM "") { clock = text(substr(s, 4 * h + 1, 300))
        v = "\",\"now\":\"" time "\""
        if (type != CLOCK || part parts != "" || substr(clock, 1, 11) != "{\"newest\":\"" || substr(clock, 12, 24) "" < TM "" || substr(clock, 36, length(v)) != v)
          return "expected a time not before " TM ", found " time
        print "an operator set the time back at entry " I "; the entry tells why" >> (W "/notes") }
      TM = time; return "" }
    # appends the payload of a part to the file split
    function payload(n, p) { if (n > 6000) print "b64d < big/" I % 4096 " | tail -c +" (HL + 1) " >> split" > act
      else { p = substr(s, 4 * HL + 1, 4 * (n - HL)); gsub(/ /, "\\", p); print "printf \047" p "\047 >> split" > act } }
    # checks a binding of a second tree: its payload has this form
    function binding(n, p, a, o, r) { o = ENVIRON["ORIGIN"]; gsub(/[^ -~]/, "?", o); p = part parts == "" && n <= 6000 ? text(substr(s, 4 * HL + 1)) : ""
      if (split(p, v, "\"") != 23 || !isnum(r = substr(v[19], 2, length(v[19]) - 2))) { bad(place ": expected the binding of a second tree"); return }
      a = v[4]
      if (a !~ /^(sha3-256|sha2-512|blake3)$/ || b64(v[12]) != (a == "sha2-512" ? 64 : 32) || b64(v[16]) != 32 ||
        p != "{\"algorithm\":\"" a "\",\"origin\":\"" o "/" a "\",\"root\":\"" v[12] "\",\"sha256Root\":\"" v[16] "\",\"size\":" r ",\"vkey\":\"" v[22] "\"}" || index(v[22], o "/" a "+") != 1)
        { bad(place ": expected the binding of a second tree of this ledger"); return }
      if (r + 0 > I) { bad(place ": expected a second tree of at most " I " entries, found " r); return }
      printf "%.0f %s %s %s %s %s\n", I, a, r, v[12], v[16], v[22] >> (W "/bound") }
    function closed() { if (oparts) bad(place ": expected part " oseen + 1 "/" oparts " of the record before it"); oparts = 0 }
    BEGIN { LF2 = " 012 012"; MAGIC = bytes("service-fs/entry/v1"); ID = bytes("id: "); TYPE = bytes("type: "); TIME = bytes("time: "); act = W "/act"; st = W "/state"
      CLOCK = bytes("application/vnd.service-fs.clock+json"); TREE = bytes("application/vnd.service-fs.tree+json"); getline TM < st; getline oparts < st; getline oseen < st; getline olen < st; getline osha < st; getline oid < st; close(st)
      while ((getline x < (W "/len")) > 0) { split(x, v, " "); I = v[1]; n = v[2]; place = substr(x, length(I n) + 3)
        s = ""; for (r = 3 * int(((n > 6000 ? 4128 : n) + 47) / 48); r > 0; r--) { getline x; s = s x }
        print (n > 6000 ? "@" I % 4096 : " 000" substr(s, 1, 4 * n)) > (W "/msgs")
        if (n <= 6000) s = substr(s, 1, 4 * n)
        if ((err = entry(n)) != "") { bad(place ": " err); if (err !~ /^expected a time/) oparts = 0; continue }
        if (type == TREE) binding(n)
        if (part == "") { closed(); RECORDS++; x = id; gsub(/ /, "", x); print x, I >> (W "/ids")
          if (parts != "") { oparts = parts; oseen = 1; olen = len; osha = sha; oid = id type time; print ": > split" > act; payload(n) } }
        else { split(part, v, "/"); if (!oparts || oid != id type time || v[1] != oseen + 1 || v[2] + 0 != oparts + 0) { bad(place ": expected " (oparts ? "part " oseen + 1 "/" oparts " of the record before it" : "the first part of a record") ", found part " part); oparts = 0; continue }
          oseen++; k = olen - 61440 * (oseen - 1); if (k > 61440) k = 61440
          if (n - HL != k) bad(place ": expected " k " payload bytes, found " n - HL)
          payload(n); if (oseen == oparts) { oparts = 0; print "split " osha " \047" place "\047" > act } } }
      if (oparts && I + 1 == ENVIRON["SIZE"]) closed()
      printf "%s\n%s\n%s\n%s\n%s\n%s\n", TM, oparts, oseen, olen, osha, oid > st }'
  room
  [ ! -f "$W/act" ] || (cd "$W" && . ./act)
  rm -f "$W/act"
}
split() { h=$1; shift; [ "$($SHA < split | cut -c 1-64)" = "$h" ] || bad "$*: the record's payload does not have the sha256 $h"; }

# compares the hashes of level $1 in the file $2, which begin at tile $3, with the tiles that the file $4 names
compare() {
  prog 'BEGIN { split(a, v, " "); l = v[1]; from = v[3]; FS = "\t"; size = ENVIRON["SIZE"]; span = 1; for (i = 0; i < l; i++) span *= 256
    for (c = 0; (getline < (W "/" v[2])) > 0;) h[c++] = $2
    for (f = W "/z/" v[4]; (getline x < f) > 0;) { split(x, u, " "); have[u[1]] = have[u[1]] " " u[2] " " u[3] }
    for (t = from; (t - from) * 256 < c; t++) { w = c - (t - from) * 256; if (w > 256) w = 256; n = split(have[t], u, " "); ok = 0
      for (j = 1; j < n; j += 2) { if (u[j] > w) continue; if (u[j] == w) ok = 1; name = tile(l, t, u[j])
        if (read_tile(name, u[j + 1], u[j], 1)) for (i = 0; i < u[j]; i++) if (T[i + 1] != h[(t - from) * 256 + i])
          bad(name " line " i + 1 (l ? "" : " (entry " 256 * t + i ")") ": expected " h[(t - from) * 256 + i] ", the hash of " (l ? "the tile below" : "the entry") ", found " T[i + 1]) }
      if (!ok && (w == 256 ? (t + 1) * 256 * span <= ENVIRON["FIRST"] + 0 : ENVIRON["EXPORT"])) bad(tile(l, t, w) ": expected the file, found nothing") } }' -v "a=$*"
}
nodes() { prog 'BEGIN { FS = "\t" } { l = $1; if ((getline) > 0) print " 001" l $1 }' "$1" | H > "$2"; }

# compares the roots of the trees of all sizes in "$W/want", and the edges of the tail
roots() {
  prog 'BEGIN { FS = "\t"; for (k = 8; (getline < (W "/u" k)) >= 0; k++) { close(W "/u" k); for (i = 0; (getline < (W "/u" k)) > 0; i++) U[k, i] = $1; close(W "/u" k) }
    while ((getline < (W "/inner")) > 0) U["i" $1, $2] = $3
    while ((getline s < (W "/want")) > 0) { r = ""; n = 0; p = 9007199254740992
      for (k = 53; k >= 0; k--) { if (int(s / p) % 2) { r = r "\t" (k < 8 ? U["i" s, k] : U[k, int(s / p) - 1]); n++ } p /= 2 } print s r > (W "/fold") }
    close(W "/fold"); while ((getline x < (W "/fold")) > 0) { split(x, v, "\t"); e[v[1]] = x }
    FS = " "; while ((getline < (W "/edges")) > 0) { split(e[$1], v, "\t"); x = octal($3)
      if (v[$2 + 1] != x) bad(sprintf("tail/%012.0f line %d: not the right edge of the tree of %s entries", $1, $2, $1)) } }' < /dev/null
  while prog 'BEGIN { FS = "\t" } NF > 2 { print " 001" $(NF - 1) $NF }' "$W/fold" > "$W/msgs"; [ -s "$W/msgs" ] && whole; do
    H < "$W/msgs" > "$W/new"
    awk 'BEGIN { FS = "\t" } { r = $1; m = NF; if (NF > 2) { m = NF - 2; getline y < (ENVIRON["W"] "/new"); split(y, v, "\t") } for (i = 2; i <= m; i++) r = r "\t" $i
      print (NF > 2 ? r "\t" v[1] : r) }' "$W/fold" > "$W/fold2"
    mv "$W/fold2" "$W/fold"; room
  done
  prog 'BEGIN { FS = "\t"; while ((getline < (W "/fold")) > 0) R[$1] = $2; FS = " " }
    { x = octal($2); if ($1 == 0 ? $2 != ENVIRON["EMPTY"] : R[$1] != x) bad(substr($0, length($1 $2) + 3) ": expected the root hash of the " $1 " entries, found " $2) }' "$W/commits" "$W/more"
}
# keeps the hashes below level 8 that the sizes in "$W/want" need, of the group of entries from $1 on
inner() {
  cat "$W/n8" >> "$W/u8"
  prog 'BEGIN { FS = "\t"; while ((getline < (W "/want")) > 0) if ($1 > lo && $1 <= lo + 4096 && $1 % 256) want[m++] = $1
    for (k = 0; m && k < 8; k++) for (i = 0; (getline < (W "/n" k)) > 0; i++) N[k, i] = $1
    for (j = 0; j < m; j++) { p = 128; for (k = 7; k >= 0; k--) { if (int(want[j] / p) % 2) print want[j] "\t" k "\t" N[k, int(want[j] / p) - 1 - lo / p]; p /= 2 } } }' -v lo="$1" >> "$W/inner"
}
# hashes levels 1 to 8 of a group; upper() hashes the later levels of all
levels() { k=0; while [ $k -lt 8 ]; do nodes "$W/n$k" "$W/n$((k + 1))"; k=$((k + 1)); done; }
upper() {
  k=8; while [ "$(sed -n 2p "$W/u$k" | wc -c)" -gt 0 ] && whole; do nodes "$W/u$k" "$W/u$((k + 1))"; k=$((k + 1)); done
  k=1; n=$((SIZE >> 8)); while [ $n -gt 0 ]; do compare $k u$((8 * k)) 0 $k; k=$((k + 1)); n=$((n >> 8)); done
}
# makes a list of the tiles of each level: "$W/z/*"
tile_list() {
  prog '$2 ~ /^tile\// { split($2, p, "/"); l = p[2]; n = substr($2, length(l) + 7); w = 256
      if (n ~ /\.p\/[1-9][0-9]*\.b64$/) { w = n; sub(/.*\.p\//, "", w); w += 0; sub(/\.p\/.*/, "", n) } else sub(/\.b64$/, "", n)
      gsub(/[x\/]/, "", n); i = num(n); if ((l != "entries" && l !~ /^[0-9]$/) || w > 256 || n !~ /^[0-9]+$/ || tile(l, i, w) != $2 || (w == 256 && $2 ~ /\.p\//)) { bad($2 ": expected only files of a ledger"); next }
      n = i; span = 1; for (i = 0; l != "entries" && i < l; i++) span *= 256
      if ((n * 256 + w) * span > ENVIRON["SIZE"]) bad($2 ": expected no tile beyond the tree of size " ENVIRON["SIZE"])
      else print n, w, $1 > (W "/z/" l (l == "entries" || l == "0" ? "." int(n / 16) : "")) }' "$W/list"
}

# ---- the second trees

# runs a command on the second tree $1: in its folder, with its hash and its own intermediate results
in_tree() (
  a=$1; shift; W=$W/$a; NAME=$NAME$a/; hash_of $a; EXPORT=; FIRST=0; export W NAME HB EMPTY EXPORT FIRST
  cd "$a" && "$@"
)
# sets TREES to the trees to compute, and OTHERS to the others; makes files for each
find_trees() {
  TREES= OTHERS=
  for a in sha3-256 sha2-512 blake3; do
    if [ ! -d $a ] || [ -h $a ]; then continue; fi
    if [ "$(ls -A $a)" = left-out.txt ]; then OTHERS="$OTHERS $a"; echo "$a/ states that this copy leaves out the second tree" >> "$W/notes"; continue; fi
    if [ $a = blake3 ]; then OTHERS="$OTHERS $a"; echo "$a/ was not checked: openssl has no BLAKE3" >> "$W/notes"; continue; fi
    TREES="$TREES $a"; mkdir "$W/$a" "$W/$a/z"
    for f in bad more commits edges text u8 inner fold want sigs mksig; do : > "$W/$a/$f"; done
    sed -n "s| $a/| |p" "$W/list" > "$W/$a/list"
    in_tree $a tree_open || exit 1
  done
  # finds the sizes of bound trees in entries that seem to bind one, by the base64 of a part of the type, at three offsets
  if [ -n "$TREES$OTHERS" ]; then
    sed -n 's/^[0-9]* \(tile\/entries\/.*\)/\1/p; s/^[0-9]* \(tail\/.*\)/\1/p' "$W/list" | while read -r f; do
      sed -n -e '/YXBwbGljYXRpb24vdm5kLnNlcnZpY2UtZnMudHJlZStq/p' -e '/FwcGxpY2F0aW9uL3ZuZC5zZXJ2aWNlLWZzLnRyZWUran/p' -e '/hcHBsaWNhdGlvbi92bmQuc2VydmljZS1mcy50cmVlK2p/p' "$f"
    done | while read -r x; do printf '%s\n' "$x" | b64d 2> /dev/null | tr -d '\000' | sed -n 's/^{.*"size":\([0-9]\{1,16\}\),.*/\1/p'; done | sort -n -u | prog '$1 > 0 && $1 <= ENVIRON["SIZE"] + 0' > "$W/sizes"
    cat "$W/sizes" >> "$W/wanted"; for a in $TREES; do cat "$W/sizes" >> "$W/$a/want"; done
  fi
}
tree_open() {
  : > "$W/size"; tile_list
  if [ ! -f checkpoint ] || [ ! -f origin ] || [ ! -d keys ]; then return 0; fi # may be incomplete until it is bound
  identity "$ORIGIN/$a"; cell=$(checkpoint checkpoint checkpoint); stop; signatures
  x=\${cell%% *}; if [ "$x" -gt "$SIZE" ]; then bad "checkpoint: expected a size of at most $SIZE, found $x"; fi
  echo "$x" > "$W/size"; echo "$x" | sed '/^0$/d' >> "$W/want"
  stop
}
tree_size() { x=; read -r x < "$W/size"; FIRST=\${x:-0}; }
tree_level0() { tree_size; compare 0 n0 $((16 * $1)) 0.$1; levels; inner $((4096 * $1)); }
tree_end() { tree_size; upper; roots; }
# compares second trees with the entries that bind them: "$W/bound"
bindings() {
  while read -r i a n root first vkey; do
    echo "$n $first entry $i: sha256Root" >> "$W/more"
    case " $TREES $OTHERS " in *" $a "*) ;; *) bad "$a: expected the second tree that entry $i binds, found nothing"; continue ;; esac
    case " $TREES " in *" $a "*) ;; *) continue ;; esac
    echo "$n $root ../entry $i: root" >> "$W/$a/more"
    if [ ! -s "$W/$a/size" ]; then bad "$a: expected its origin, keys and checkpoint, because entry $i binds it"; continue; fi
    [ "$n" = 0 ] || grep_line "$n" "$W/sizes" || bad "entry $i: expected a size that can be found in its text"
    x=$(sed -n 's/^keys\/ed25519.vkey //p' "$W/$a/own"); [ "$x" = "$vkey" ] || bad "$a/keys: expected the key that entry $i names, found $x"
  done < "$W/bound"
  for a in $TREES; do case $(cut -d ' ' -f 2 "$W/bound") in *$a*) ;; *) echo "$a/: no entry binds this second tree" >> "$W/notes" ;; esac; done
}
grep_line() { [ -n "$(sed -n "/^$1\$/p" "$2")" ]; }


# reads the checkpoint in the file $1, named $2: appends its size and root to the commits to check
checkpoint() {
  CP=$W/note.$2; export CP; tr '\000' '\001' < "$1" > "$CP"; prog 'BEGIN { split(a, v, " "); G = "c" v[2]; n = read_note(ENVIRON["CP"], v[1] + 0)
    x = n ? note(n) : "expected text in lines"; if (x != "") { bad(v[2] ": " x); exit }
    sign(v[2], n); printf "%.0f %s %s\n", SIZE, ROOT, v[2] }' -v "a=$(wc -c < "$1" | tr -d ' ') $2" | tee -a "$W/commits"
}

# verifies the ledger in the current directory. $1: the start of its names in messages; $2: the origin that it must have
ledger() (
  NAME=$1; W=$TOP/w\${1%/}; export W NAME; mkdir "$W" "$W/z" "$W/tl" "$W/big"
  for f in bad names notes commits starts text u8 inner edges state ids fold more bound wanted sizes; do : > "$W/$f"; done
  list "$2"; readme; identity "$2"
  cell=$(checkpoint checkpoint checkpoint); csize=\${cell%% *}
  [ -n "$cell" ] || { stop; exit 1; }
  tail_files
  SIZE=$csize; ROOT=\${cell#* }; ROOT=\${ROOT%% *}; FIRST=$SIZE; EXPORT=1; count=
  if [ -s "$W/starts" ]; then
    read -r FIRST < "$W/starts"; EXPORT=; read -r n root < "$W/newest"
    if [ "$n" -ge "$SIZE" ]; then SIZE=$n; ROOT=$root; else bad "tail: expected commits up to the size $SIZE of checkpoint, found $n"; fi
  fi
  export SIZE FIRST EXPORT
  if [ -z "$1" ]; then for f in \${FILES:+1 2}; do
    n=OLD; [ $f = 1 ] || n=NEW; eval "f=\$FILE$f"; x=$(checkpoint "$f" $n); [ -z "$x" ] || [ "\${x%% *}" -le "$SIZE" ] || bad "$n: expected a size of at most $SIZE, found \${x%% *}"
  done; fi
  tile_list
  find_trees
  { cat "$W/starts" "$W/wanted"; sed 's/ .*//' "$W/commits"; } | sort -n -u | sed '/^0$/d' > "$W/want"
  g=0; while [ $((g * 4096)) -lt "$SIZE" ]; do
    rm -f "$W/len" "$W/pad" "$W/msgs"
    collect $g; room; [ ! -f "$W/dead" ] || stop
    entries
    H < "$W/msgs" > "$W/n0"
    compare 0 n0 $((16 * g)) 0.$g
    for a in $TREES; do (hash_of $a; H < "$W/msgs") > "$W/$a/n0"; in_tree $a tree_level0 $g; done
    levels; inner $((g * 4096))
    room; whole || stop; g=$((g + 1))
  done
  upper; bindings
  for a in $TREES; do in_tree $a tree_end; sed "s|^|$a/|; s|^$a/\.\./||" "$W/$a/bad" >> "$W/bad"; done
  stop
  roots; signatures; text "$W/text" checkpoint
  sort -t ' ' -k 1,1 -k 2,2n "$W/ids" | prog '{ if ($1 "" == id) bad("entry " $2 ": its id is that of entry " at); else { id = $1 ""; at = $2 } }'
  stop
  while read -r x; do say "note:  $NAME$x"; done < "$W/notes"
  say "true:  $ORIGIN has $SIZE entries, $(sed -n '$=' "$W/ids") records, root hash $ROOT; $(sed -n '$=' "$W/commits") checkpoints signed by a key from $TRUST"
  for a in $TREES; do read -r x < "$W/$a/size" || x=0; say "true:  $ORIGIN/$a, the second tree, has $x entries; bound by $(sed -n "s/^\([0-9]*\) $a .*/entry \1/p" "$W/bound" | tr '\n' ' ')"; done
  if [ -n "$1" ]; then :; elif [ -d audit ] && [ ! -h audit ]; then cd audit && ledger audit/ "$ORIGIN/audit"; else say "note:  there is no audit sub-ledger"; fi
)

# checks the .tlog-proof FILE1 of the record in FILE2
proof() (
  NAME= W=$TOP/w; export W NAME FILE1; mkdir "$W"; for f in bad names commits extra hashes head text; do : > "$W/$f"; done
  list ''; identity ''; z=$(wc -c < "$FILE1") && n=$(wc -c < "$FILE2") || exit 2
  prog 'BEGIN { n = read_note(ENVIRON["FILE1"], z + 0); for (e = 1; e <= n && N[e] != ""; e++); i = 2
    if (N[1] != "c2sp.org/tlog-proof@v1" || e > n) { bad("proof: expected a .tlog-proof"); exit }
    if (N[2] ~ /^extra /) { if (b64(x = substr(N[2], 7)) < 1) bad("proof line 2: expected base64"); s = octal(x); print s > (W "/extra"); i = 3 }
    if (N[i] !~ /^index / || !isnum(x = substr(N[i], 7))) bad("proof line " i ": expected the index")
    print x > (W "/index"); while (++i < e) { if (!ishash(N[i])) bad("proof line " i ": expected a hash"); print octal(N[i]) > (W "/hashes") }
    while (++e <= n) print N[e] > (W "/cell")
    k = split(s, f, / 012/); if (f[1] != bytes("service-fs/entry/v1") || index(s, " 012 012") != length(s) - 7) bad("proof line 2: expected the header of an entry")
    for (i = 2; i < k - 1; i++) { x = text(f[i]); if (x ~ /^part: /) bad("proof: expected the first entry of a record, found " x)
      if (i == 2 || x ~ /^(length|sha256): /) { sub(/: /, " ", x); print x > (W "/head") } } }' -v z=$z
  stop; cell=$(checkpoint "$W/cell" checkpoint); stop; signatures; text "$W/text" checkpoint
  want=; while read -r name value; do
    case $name in id) id=$value ;; length) [ "$((n))" = "$value" ] || bad "record: expected $value bytes, found $n" ;; sha256) want=$value ;; esac
  done < "$W/head"
  [ -z "$want" ] || [ "$($SHA < "$FILE2" | cut -c 1-64)" = "$want" ] || bad "record: expected the sha256 $want"
  r=$({ printf '\000'; printf "$(tr ' ' '\\' < "$W/extra")"; if [ -n "$want" ]; then head -c 61440 "$FILE2"; else cat "$FILE2"; fi; } | $SHA |
    prog '{ for (i = 1; i < 64; i += 2) printf "%s", X[substr($0, i, 2)] }')
  read -r i < "$W/index"; s=\${cell%% *}; root=\${cell#* }; at=$i; s=$((s - 1)) # RFC 9162, section 2.1.3.2
  [ $i -le $s ] || bad "proof: expected an index below the size of its checkpoint, found $i"
  while IFS= read -r p; do
    [ $s -gt 0 ] || bad "proof: expected fewer hashes"
    if [ $((i % 2)) -eq 1 ] || [ $i -eq $s ]; then
      r=$(echo " 001$p$r" | H | cut -f 1); while [ $((i % 2)) -eq 0 ] && [ $i -gt 0 ]; do i=$((i / 2)); s=$((s / 2)); done
    else r=$(echo " 001$r$p" | H | cut -f 1); fi
    i=$((i / 2)); s=$((s / 2))
  done < "$W/hashes"
  [ $s -eq 0 ] && [ "$r" = "$(echo "\${root%% *}" | prog '{ print octal($0) }')" ] || bad "proof: not of the bytes of this record, or not of the tree of its checkpoint"
  stop
  say "true:  the record is that of the entry $at of $ORIGIN, which has \${cell%% *} entries by a checkpoint signed by a key from $TRUST; its id: $id"
)
prove() @SHELL@

FILES=; [ "\${1-}" != consistency ] || FILES=1
case \${1-all} in
  entry) prove "$2" \${PIN:+"\${PIN%%"$NL"*}"} ;;
  proof) proof ;;
  *) ledger '' '' ;;
esac
`
  .replaceAll('\\${', '${')
  .replace('@SHELL@', () => SHELL)
