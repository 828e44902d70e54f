/**
 * The shell script in README.txt. It proves one entry without any of this software, and needs a POSIX shell (dash, busybox, bash),
 * coreutils, and openssl for the signature.
 */

/** The line before and after the script in README.txt, by which a reader extracts it. */
export const SHELL_MARK = '# ---- shell lines: everything between these two marks ----'

/**
 * The script, to be run in a ledger directory as the input of `sh -s N VKEY`. It hashes entry N, which counts from 0, and computes
 * the root hash in `checkpoint` through each level of tiles (RFC 6962 section 2.1). Then it checks the signature of the verifier
 * key VKEY. If all is valid, it prints the entry. At the first failure it prints the reason on standard error and exits with
 * status 1.
 */
export const SHELL: string = String.raw`
(
LC_ALL=C; export LC_ALL
N=\${1-0}                             # the entry to check, counted from 0
VKEY=\${2-$(cat keys/ed25519.vkey)}   # the verifier key that you trust; without one, the one that is here
say() { printf '%s\n' "$*" | cat -v >&2; }  # cat -v spells out control characters
fail() { say "FALSE: $*"; exit 1; }
d=$(mktemp -d) || exit 1             # for intermediate results: a directory that nobody else may write to
trap 'rm -rf "$d"' EXIT
trap 'exit 1' HUP INT TERM

# 5 -> 005, 1234067 -> x001/x234/067
path() {
  o=$(printf %03d $(($1 % 1000))); n=$(($1 / 1000))
  while [ $n -gt 0 ]; do o=x$(printf %03d $((n % 1000)))/$o; n=$((n / 1000)); done
  echo $o
}

# prints the file of the tile at level $1, number $2, full or partial, if there is one
file() {
  t=tile/$1/$(path $2)
  for t in $t.b64 $t.p/*.b64; do if [ -f "$t" ]; then echo "$t"; return; fi; done
}

# prints the entry lines of the tail file $1, which holds "edge, entries, checkpoint, signatures, entries, checkpoint, ...",
# and an empty line after each
tailentries() {
  sed -n -e ':edge' -e '/./{n;b edge' -e '}' -e ':entries' -e 'n;/./{p;b entries' -e '}' \
    -e ':checkpoint' -e 'n;/./b checkpoint' -e ':signatures' -e 'n;/./b signatures' -e 'b entries' "$1"
}

# prints the base64 line of entry $1, from its bundle or the newest tail file that begins at or before it
entry() {
  t=$(file entries $(($1 / 256)))
  if [ -n "$t" ]; then sed -n "$(($1 % 256 + 1))p" "$t"; return; fi
  for t in $(ls -r tail 2> /dev/null); do
    case $t in *[!0-9]*) continue ;; esac
    s=\${t#"\${t%%[!0]*}"}; s=\${s:-0}
    if [ "$s" -le "$1" ]; then tailentries "tail/$t" | sed -n "$(($1 - s + 1))p"; return; fi
  done
}

# sha256 hashes to hex digits, hex turns bytes to hex, and bytes hex to bytes
sha256() { sha256sum | sed 's/ .*//'; }
hex() { od -An -v -tx1 | tr -d ' \n'; }
bytes() {
  x=$1; o=
  while [ -n "$x" ]; do
    y=\${x#??}; v=$((0x\${x%"$y"})); o=$o\\$((v / 64))$((v / 8 % 8))$((v % 8)); x=$y
  done
  printf "$o"
}

# prints the hash of entry $1, and writes "$d/entry$1"
leaf() {
  entry $1 > "$d/line"
  [ -s "$d/line" ] || fail "entry $1: found neither in tile/entries nor in the tail"
  base64 -d < "$d/line" > "$d/entry$1" || fail "entry $1: its line is not base64"
  { printf '\000'; cat "$d/entry$1"; } | sha256
}

# prints the hash over the hashes in the file $1: hashes pairs of lines until one is left
merge() (
  cp "$1" "$d/merge"
  while [ "$(sed -n '$=' "$d/merge")" -gt 1 ]; do
    rm -rf "$d/pair"; mkdir "$d/pair"; i=1000; odd=
    while read -r a; do
      if read -r b; then i=$((i + 1)); bytes "01$a$b" > "$d/pair/$i"; else odd=$a; fi
    done < "$d/merge"
    { sha256sum "$d"/pair/* | sed 's/^\\//; s/ .*//'; if [ -n "$odd" ]; then echo "$odd"; fi; } > "$d/merged"
    mv "$d/merged" "$d/merge"
  done
  cat "$d/merge"
)

# prints hash number $2 of level $1: of an entry, or over 256 hashes below it
hash() {
  if [ $1 -eq 0 ]; then leaf $2; else row $(($1 - 1)) $2 256 && merge "$d/row$(($1 - 1))"; fi
}

# writes the first $3 hashes of the tile at level $1, number $2, to "$d/row$1", from its file if there is one. The hash above
# entry N is computed from the entry, and compared with the file. The root hash, in the end, proves the others.
row() (
  at=$((N >> (8 * $1)))
  t=$(file $1 $2)
  if [ -z "$t" ]; then
    i=0
    while [ $i -lt $3 ]; do hash $1 $(($2 * 256 + i)) || exit 1; i=$((i + 1)); done > "$d/new$1"
    mv "$d/new$1" "$d/row$1"
  else
    base64 -d < "$t" > "$d/hashes" 2> /dev/null  # some base64 programs stop at the padding of a line
    if [ "$(wc -c < "$d/hashes")" -ne $(($(sed -n '$=' "$t") * 32)) ]; then
      while read -r x; do printf '%s\n' "$x" | base64 -d; done < "$t" > "$d/hashes"
    fi
    hex < "$d/hashes" | fold -w 64 > "$d/tile$1"
    echo >> "$d/tile$1"
    head -n $3 "$d/tile$1" > "$d/row$1"
    # a file with fewer hashes, some of them hashed together already, could have the same root
    have=$(($(wc -c < "$d/row$1") / 65))
    [ $have -eq $3 ] || fail "$t: expected $3 hashes, found $have"
    if [ $at -ge $(($2 * 256)) ] && [ $at -lt $(($2 * 256 + $3)) ]; then
      have=$(hash $1 $at) || exit 1
      if [ "$have" != "$(sed -n "$((at % 256 + 1))p" "$d/row$1")" ]; then
        fail "$t line $((at % 256 + 1)): not the hash that entry $N leads to"
      fi
      say "true:  $t line $((at % 256 + 1)) is the hash that entry $N leads to"
    fi
  fi
)

[ -f checkpoint ] || fail "checkpoint: expected a file"
cp checkpoint "$d/checkpoint" || exit 1
name=$(sed -n 1p "$d/checkpoint"); size=$(sed -n 2p "$d/checkpoint"); root=$(sed -n 3p "$d/checkpoint")
case $N in '' | *[!0-9]* | 0?* | ?????????????????*) fail "expected the number of an entry, found $N" ;; esac
case $size in '' | *[!0-9]* | 0?* | ?????????????????*) fail "checkpoint line 2: expected the number of entries" ;; esac
[ $N -lt $size ] || fail "expected an entry below $size, which is all that checkpoint covers, found $N"

# computes the hashes from entry N to the root
: > "$d/rest"; l=0; left=$size
while [ $left -gt 0 ]; do
  if [ $((left % 256)) -gt 0 ]; then
    row $l $((left / 256)) $((left % 256)) || exit 1
    cat "$d/rest" >> "$d/row$l"; merge "$d/row$l" > "$d/right"; mv "$d/right" "$d/rest"
  fi
  left=$((left / 256)); l=$((l + 1))
done
have=$(bytes "$(cat "$d/rest")" | base64)
[ "$have" = "$root" ] || fail "root hash of the $size entries: found $have, which is not that in checkpoint"
say "true:  the root hash in checkpoint, $root, is that of $size entries with entry $N"

# checks the signature on the checkpoint; a vkey is name+id+key, and id is 8 hex digits
id=\${VKEY#*+}; key=\${id#*+}; id=\${id%%+*}
[ "$VKEY" = "$name+$id+$key" ] || fail "checkpoint line 1: not the name in the verifier key $VKEY"
printf '%s\n' "$key" | base64 -d > "$d/key" || fail "verifier key $VKEY: not base64"
case $(hex < "$d/key") in
  01*) [ "$(wc -c < "$d/key")" -eq 33 ] || fail "verifier key $VKEY: expected the type byte 01 and 32 bytes" ;;
  *) fail "verifier key $VKEY: expected the type byte 01, for Ed25519" ;;
esac
case $(tail -c 32 "$d/key" | hex) in  # anybody can sign for a key of low order
  0[01]000000000000000000000000000000000000000000000000000000000000[08]0 | e[c-f]ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff[7f]f | f?ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff[7f]f | \
    26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc[08]5 | \
    c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03[7f]a)
    fail "verifier key $VKEY: a key of low order, or not canonical" ;;
esac
[ "$({ printf '%s\n' "$name"; cat "$d/key"; } | sha256 | head -c 8)" = "$id" ] || fail "verifier key $VKEY: not its key id"
sed '/^$/,$d' "$d/checkpoint" > "$d/text"
sed '1,/^$/d' "$d/checkpoint" | while IFS= read -r s; do
  case $s in
    "— $name "*)
      printf '%s\n' "\${s#"— $name "}" | base64 -d > "$d/bytes"
      if [ "$(head -c 4 "$d/bytes" | hex)" = "$id" ]; then tail -c +5 "$d/bytes" > "$d/signature"; fi ;;
  esac
done
[ -f "$d/signature" ] || fail "checkpoint: no signature by $name+$id"
{ bytes 302a300506032b6570032100; tail -c 32 "$d/key"; } > "$d/der"
command -v openssl > /dev/null || { say "the signature is not checked: there is no openssl"; exit 1; }
openssl pkeyutl -verify -pubin -keyform DER -inkey "$d/der" -rawin -in "$d/text" -sigfile "$d/signature" > /dev/null 2>&1 ||
  fail "signature by $name+$id: not one of the text of checkpoint"
say "true:  the signature on checkpoint is by $VKEY"

# prints the entry, and spells out control characters on a terminal
if [ -t 1 ]; then cat -v "$d/entry$N"; echo; else cat "$d/entry$N"; fi
)
`
  .trim()
  .replaceAll('\\${', '${')
