/** The README.txt of a ledger directory, which explains the directory to a reader without this software. */
import { SHELL, SHELL_MARK } from './readme-shell.ts'

/** Returns the text of README.txt for the ledger `origin`. */
export function readmeText(origin: string): string {
  return `This directory is a ledger: records that were written once and are never changed.

Its name (origin): ${origin}

Everything in it is plain text. cat, base64, sed and sha256sum are enough to read it and to check it; the signature takes
openssl.

  origin                  the name, one line
  keys/NAME.vkey          the public keys that check the signatures (https://c2sp.org/signed-note)
  checkpoint              the signed state: name, number of entries, root hash (https://c2sp.org/tlog-checkpoint)
  tile/entries/000.b64    256 entries, one a line, base64 (RFC 4648, section 4)
  tile/0/000.b64          the SHA-256 hashes of these 256 entries, one a line, base64
  tile/1/000.b64          the hashes over 256 full tiles of level 0 each, and so on upwards
  tile/…/000.p/17.b64     the same, not yet full: 17 lines (in exports only, which have no tail/)
  tail/000000000512       the newest entries, from number 512 on: the edge, an empty line, and then again and again:
                          entries, an empty line, a signed checkpoint, an empty line. The edge is the hashes of the
                          perfect subtrees that the entries before make, the largest first: one for each 1 bit of 512;
                          before entry 0 there are none, and the file begins with the empty line. The first
                          checkpoint may be of the entries before the file: then no entries are above it. Where
                          there are several files, an entry is in the newest that begins at or before it
  audit/                  a ledger of the same kind: who read what, and when
  lock tmp/ cache/        working files of the running program; not part of the ledger

Entry number n (from 0) is line n % 256 + 1 of tile/entries/<n / 256>.b64, or in the tail. Tile numbers are written with at
least three digits, 1234067 as x001/x234/067. An entry is a header of lines "name: value", an empty line, and the record's
bytes. A record that is larger than 65,535 bytes with its header is split over consecutive entries: the first tells "parts",
"length" and "sha256" of the whole, the others tell "part: 2/5"; put together in order they are the record.

The hash of an entry is SHA-256 of a zero byte and the entry; the hash of two subtrees is SHA-256 of a one byte and their two
hashes (RFC 6962, section 2.1). The root hash in the checkpoint is that of the tree over all entries: with it, no entry can be
changed, removed, or put in between without a new signature. The tiles are those of https://c2sp.org/tlog-tiles.

A verifier key is the key's name, "+", 8 hex digits (the key id), "+", and the base64 of a type byte, 01, and the 32 bytes
of an Ed25519 public key (RFC 8032). The key id is the first 4 bytes of the SHA-256 of the name, a line feed, the type byte
and the public key. A line "— name base64" of a checkpoint has the 4 bytes of a key id and the 64 bytes of a signature. What is
signed is the text of the checkpoint up to its first empty line, which is left out.

The lines below check entry 42. They hash it, go from there through each level of tiles up to the root hash in the checkpoint,
and check the signature. They print the entry when all of that is true; at the first failure they stop, with status 1, and say
what is false. They need a POSIX shell (dash, busybox, bash), coreutils and openssl. Run them in this directory:

  sed -n '/^# ---- shell/,/^# ---- shell/p' README.txt | sh -s 42

No entry printed, nothing proved: where sed finds no lines, sh has nothing to do and ends with status 0.

Whoever can change this directory can change README.txt and keys/ too. So use lines and a verifier key that you have from
elsewhere, for instance "service-fs readme > lines" on a machine that you trust, and the key that the service printed:

  sed -n '/^# ---- shell/,/^# ---- shell/p' /home/me/lines | sh -s 42 'example.org/ledger+0123abcd+AQ…'

They take some seconds; some minutes where tens of thousands of entries are not below a full tile of level 1 yet. A program
that writes here meanwhile may move what they are about to read: then run them again, or in a copy.

${SHELL_MARK}
${SHELL}
${SHELL_MARK}
`
}
