#!/bin/sh
# verify.sh URL VKEY ID FILE: proves that the log whose verifier key is VKEY contains FILE as the record ID.
# Needs curl, coreutils, sed and openssl 3. The server is not trusted: everything follows from the file, the id and the key.
set -eu
url=$1 vkey=$2 id=$3 file=$4
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

fail() {
  echo "false: $*"
  exit 1
}
fetch() { curl --silent --show-error --fail-with-body --max-time 60 "$@"; }
sha256() { sha256sum | sed 's/ .*//'; }
to_hex() { od -An -v -tx1 | tr -d ' \n'; }
from_hex() {
  printf '%s' "$1" | fold -w 2 | while read -r byte || [ -n "$byte" ]; do
    printf "\\$(printf '%03o' "0x$byte")"
  done
}
# Prints the hash of a tree node from its two children, in hex.
node() { { printf '\001'; from_hex "$1$2"; } | sha256; }

# The proof (c2sp.org/tlog-proof): the entry's header in the line `extra`, the index, the hashes, and after an empty line the checkpoint.
escaped=$(printf '%s' "$id" | to_hex | sed 's/../%&/g')
cursor=$(fetch "${url}v1/records/$escaped" | sed 's/^{"cursor":\([0-9]*\),.*/\1/')
fetch "${url}v1/entries/$cursor/proof" >"$work/proof"
[ "$(sed -n 1p "$work/proof")" = 'c2sp.org/tlog-proof@v1' ] || fail 'not a tlog-proof'
sed -n '2s/^extra //p' "$work/proof" | base64 -d >"$work/header"
index=$(sed -n '3s/^index //p' "$work/proof")
sed '1,/^$/d' "$work/proof" >"$work/checkpoint"

# The entry is the header and the payload; the proof of a split record is for its first part, whose header has the payload's SHA-256.
[ "$(sed -n 's/^id: //p' "$work/header")" = "$id" ] || fail 'the proof is of another record'
sum=$(sed -n 's/^sha256: //p' "$work/header")
if [ -z "$sum" ]; then cat "$work/header" "$file" >"$work/entry"; else
  [ "$sum" = "$(sha256 <"$file")" ] || fail 'the record has another SHA-256'
  { cat "$work/header" && head -c 61440 "$file"; } >"$work/entry"
fi

# The checkpoint is signed by the key: SubjectPublicKeyInfo is a prefix of 12 bytes (RFC 8410) and the key's 32 bytes.
origin=${vkey%%+*}
key_id=${vkey#*+} key_id=${key_id%%+*}
key=$(printf '%s' "${vkey#*+*+}" | base64 -d | to_hex)
[ "$(sed -n 1p "$work/checkpoint")" = "$origin" ] || fail 'the checkpoint is of another log'
sed '/^$/,$d' "$work/checkpoint" >"$work/text"
sed -n 's/^— //p' "$work/checkpoint" | while read -r name signature; do
  [ "$name" != "$origin" ] || printf '%s' "$signature"
done | base64 -d >"$work/signature"
[ "$(head -c 4 "$work/signature" | to_hex)" = "$key_id" ] || fail 'the checkpoint has no signature by the key'
tail -c 64 "$work/signature" >"$work/ed25519"
from_hex "302a300506032b6570032100${key#01}" >"$work/key"
openssl pkeyutl -verify -rawin -pubin -keyform DER -inkey "$work/key" -in "$work/text" -sigfile "$work/ed25519" >/dev/null 2>&1 ||
  fail 'the signature on the checkpoint is wrong'

# The proof leads from the entry to the root hash of the checkpoint (RFC 9162, section 2.1.3.2).
size=$(sed -n 2p "$work/text")
[ "$index" -lt "$size" ] || fail 'the index is not in the tree'
root=$({ printf '\000'; cat "$work/entry"; } | sha256)
at=$index last=$((size - 1))
for line in $(sed '/^$/,$d' "$work/proof" | sed 1,3d); do
  sibling=$(printf '%s' "$line" | base64 -d | to_hex)
  [ "$last" -gt 0 ] || fail 'the proof is too long'
  if [ $((at % 2)) -eq 1 ] || [ "$at" -eq "$last" ]; then
    root=$(node "$sibling" "$root")
    while [ $((at % 2)) -eq 0 ] && [ "$at" -gt 0 ]; do at=$((at / 2)) last=$((last / 2)); done
  else
    root=$(node "$root" "$sibling")
  fi
  at=$((at / 2)) last=$((last / 2))
done
[ "$last" -eq 0 ] || fail 'the proof is too short'
[ "$root" = "$(sed -n 3p "$work/text" | base64 -d | to_hex)" ] || fail 'the proof leads to another root hash'
echo "true: $id is entry $index of $size in $origin"
