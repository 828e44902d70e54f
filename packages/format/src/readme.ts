/** The README.txt of a ledger directory, which explains the directory to a reader without this software. */
import { SHELL, SHELL_MARK } from './readme-shell.ts'
import { VERIFY_SH_SHA256 } from './verify-shell.ts'

/** Returns the text of README.txt for the ledger `origin`. */
export function readmeText(origin: string): string {
  return `This directory is a ledger: records that were written once and are never changed.

Its name (origin): ${origin}

Everything in it is plain text. To verify all of it, with a POSIX shell, coreutils, sed, awk and openssl 3, run

  sh verify.sh

The SHA-256 of verify.sh is ${VERIFY_SH_SHA256}.
The rest of this text is complete: it suffices to write such a verifier again.

1. FILES

  README.txt              this text
  verify.sh               the script that verifies this directory, and audit/ below it
  README-2.txt            only if verify.sh was added later, and README.txt does not name it: the text that does
  origin                  the name, one line
  keys/NAME.vkey          the public keys that check the signatures, one line each (https://c2sp.org/signed-note)
  checkpoint              the signed state: name, number of entries, root hash (https://c2sp.org/tlog-checkpoint)
  tile/entries/000.b64    256 entries, one a line, base64
  tile/0/000.b64          the SHA-256 hashes of these 256 entries, one a line, base64
  tile/1/000.b64          the hashes over 256 full tiles of level 0 each, and so on upwards
  tile/…/000.p/17.b64     the same, not yet full: 17 lines (in exports only, which have no tail/)
  tail/000000000512       the newest entries, from number 512 on, with their commits: section 5
  sha3-256/ sha2-512/     only in some ledgers: a second tree over the same entries, with another hash: section 6
  blake3/                 the same
  audit/                  a ledger of the same kind: who read what, and when. Its name is this one with "/audit" added
  lock tmp/ cache/        working files of the running program; not part of the ledger

There are no other files. Text is UTF-8, and every line ends in a line feed, the last one too. Base64 is that of RFC 4648,
section 4, with padding, and the unused bits are zero. A hash is 32 bytes, 44 characters in base64. Numbers are decimal without
leading zeros, at most 9007199254740991. Entries are counted from 0. Lines of a file are counted from 1.

2. THE TREE

The hash of an entry is SHA-256 of a zero byte and the entry; the hash of two subtrees is SHA-256 of a one byte and their two
hashes (RFC 6962, section 2.1). The tree of n entries, n above 1, is that of two subtrees: the left one has as many entries as the
largest power of two below n, the right one has the rest. The hash of no entries is SHA-256 of no bytes. The root hash in the
checkpoint is that of the tree over all entries: with it, no entry can be changed, removed, or put in between without a new
signature. The tiles are those of https://c2sp.org/tlog-tiles.

Tile numbers are written in groups of three digits, all but the last group after an x: 5 is 005, 1234067 is x001/x234/067.
Entry number n is line n % 256 + 1 of tile/entries/<n / 256>.b64, and its hash is the same line of tile/0/<n / 256>.b64. Line i of
tile t of level L + 1 is the hash over the 256 hashes in tile 256 t + i - 1 of level L, taken as a tree. A tile of w lines with
w below 256 is the first w lines of the full one. An entry may be both in a bundle and in the tail; then both are the same.

If there is no tail file, the directory is an export: for the size of its checkpoint it has all full tiles and all partial ones,
on all levels. If there are tail files, all full tiles whose entries are before the first tail file are there; of the others some
may be there. No tile may reach beyond the newest signed size.

3. SIGNATURES

A verifier key is the key's name, "+", 8 hex digits (the key id), "+", and the base64 of a type byte, 01, and the 32 bytes
of an Ed25519 public key (RFC 8032). The name is the origin. The key id is the first 4 bytes of the SHA-256 of the name, a line
feed, the type byte and the public key. Keys of other types are to be ignored. A public key must be the canonical encoding of a
point whose order is not 1, 2, 4 or 8: by a key of such an order, anybody can sign.

A signed checkpoint is: the origin, the number of entries and the root hash in base64, each on a line; maybe further lines that are
not empty; an empty line; and one or more lines "— name base64" (the dash is U+2014), whose base64 has the 4 bytes of a key id and
the bytes of a signature, 64 for Ed25519. A signature is over the text before the empty line, with its line feeds. At least
one signature must be by a key from keys/, and all by such keys must be right; those of unknown keys are to be ignored.

4. ENTRIES

An entry has 1 to 65,535 bytes: a header of lines "name: value", an empty line, and the record's bytes, as they came:

  service-fs/entry/v1
  id: invoice-2026-0001
  type: application/json
  time: 2026-11-22T18:43:00.123Z

  {"total":12}

The first four lines are always there, in this order. Other fields may follow: names of a-z, 0-9 and "-", beginning with a
letter, at most 64 characters, in ascending order, each once. A value is UTF-8 without control characters (U+0000 to U+001F,
U+007F to U+009F). The id has 1 to 256 bytes, the type 1 to 255. The time is UTC, on a day that exists. The header has at most
4,095 bytes with the empty line.

A record that is larger than 65,535 bytes with its header is split over consecutive entries, each with its id, type and time.
The first has the fields "length" (bytes of the whole record), "parts" and "sha256" (of the whole record, in 64 hex digits); the
others have only the field "part: 2/5". parts is length / 61440, rounded up. All parts but the last have 61,440 bytes of the
record; put together in order they are the record.

No two records have the same id. The time of an entry is not before that of the entry before it, with one exception: an entry of the
type application/vnd.service-fs.clock+json, with which an operator sets back a clock that ran ahead. It is not split, and its bytes
are JSON that begins with {"newest":"TIME","now":"TIME", where the first is the newest time so far or a later one, and the second is
the entry's own. The times of the entries after it continue from its own.

5. THE TAIL

A file in tail/ is named by the number of its first entry, with at least twelve digits. It begins with the edge: the hashes of the
perfect subtrees that the entries before make, the largest first: one for each 1 bit of 512; before entry 0 there are none. An
empty line follows, and then commits, one after another. A commit is its entries, one a line in base64; an empty line; a
checkpoint, signed, of all entries up to here; and an empty line. Only the first commit of a file may have no entries: then its
checkpoint is of the entries before the file. The newest checkpoint of the ledger is the last one in the tail, or the one in the
file checkpoint if that has more entries or there is no tail; but the file checkpoint never has more entries than the tail.

There may be several files. One may begin before the end of the file before it, and then repeats the entries that both have.

After the last commit a file may have NUL bytes or line feeds only: room for more. Or it ends in a commit that a power cut tore,
which is to be ignored, because no client got an answer that it was stored. Anything else that is not a commit is damage. Let o be
the offset at which no whole commit begins, and last the offset of the last byte of the file that is neither NUL nor a line feed.
The commit is torn if an earlier commit of the file has entries; if the next file, where there is one, begins at the entry at which
the commit would; if no line from o on begins with "— " and has after it an empty line that ends before last; and if one of these is
true:

  - one of the 512-byte sectors of the file, from o on, that end at or before last has only NUL bytes and line feeds;
  - the two bytes after last are not both line feeds;
  - of the three empty lines of a commit, the first or the second is missing before last;
  - more bytes follow the two after last, and last + 1 is at most two bytes away from the end of a sector.

6. SECOND TREES

A ledger may have more trees over its entries, each with another hash and in a folder named after it: sha3-256 (FIPS 202), sha2-512
(FIPS 180-4) or blake3. Such a folder has these files and no others, apart from lock, tmp/ and cache/:

  origin                  the name of the tree: the name of the ledger, "/" and the name of the folder
  keys/ed25519.vkey       its public key, which has that name (section 3; the key id is still made with SHA-256)
  checkpoint              its signed state, as in section 3
  tile/0/000.b64          the full tiles of its hashes, with the paths and the contents of section 2; no entries, no partial tiles

Everything in section 2 holds with the other hash in the place of SHA-256. A hash of sha2-512 is 64 bytes, 88 characters in base64;
the others are 32 bytes. The tree is over the first entries of the ledger, as many as its checkpoint says: at most as many as the
ledger has. All full tiles of so many entries are there; more tiles may be there.

An entry of the type application/vnd.service-fs.tree+json binds a second tree. It is not split, and its bytes are exactly

  {"algorithm":"A","origin":"O","root":"R","sha256Root":"S","size":N,"vkey":"K"}

where A is the name of the folder, O the name of the tree, K its public key, N at most the number of this entry, R the root hash of the
second tree over the first N entries, and S the root hash of the ledger's own tree over them. Both must be right. If an entry binds a
tree, its folder has all files above. A copy may leave it out: then the folder has only the file left-out.txt. Without such an entry
a folder is that of a tree in the making, whose files may be missing.

7. DUTIES TO KEEP RECORDS

Some entries state how long records must be kept. verify.sh does not check this section: to it, they are entries like all others.

The field "retain-until" of a record's first entry is a time in the form of section 4: the record must be kept until then. An entry
of the type application/vnd.service-fs.duty+json with the field "duty" states a duty. It is not split, its id is
"vnd.service-fs.duty/" and a number, and its bytes are a JSON object (RFC 8785) with these members and no others:

  each kind  duty, as the field says; reason; and subject and request_id: the client that stated it, and its request
  policy     a scope; and either for, a period such as P6Y (years) or P90D (days), or until, a time
  hold       hold, its name; and a scope, or payload_id, the id of one record
  lift       hold, the name of the hold that ends
  extend     payload_id, the id of one record; index, the number of its first entry; until, a time; and was, the time of the
             record's last extension, or without one its retain-until; absent if it has neither

A scope is all, which is true, for all records; or type, prefix or both: the records of exactly this type whose id starts so. The
duties apply in the order of their entries. A duty that breaks one of these rules has no effect:

  - A policy states more years, more days or a later time than each earlier policy of the same scope that states the same unit.
  - A hold has a name that no earlier hold has. A lift names a hold that is in force.
  - An extension's until is after its was. Its was is the until of the record's last extension. The first extension of a record has
    the number of that record as its index, and the retain-until of that record as its was.

A record must be kept until the latest of these times: its retain-until, its last extension, and the end of each policy whose scope
covers it, be the record older or newer than the policy. A period begins at the record's time. A year ends on the same date, or on
March 1 if it begins on February 29 and the last year has no such day. No period ends after 9999-12-31T23:59:59.999Z. A record that
a hold covers must be kept until the hold is lifted, whatever these times are.

8. ONE ENTRY

The lines below check entry 42. They hash it, go from there through each level of tiles up to the root hash in the checkpoint,
and check the signature. They print the entry when all of that is true; at the first failure they stop, with status 1, and say
what is false. They need a POSIX shell (dash, busybox, bash), coreutils and openssl. Run them in this directory:

  sed -n '/^# ---- shell/,/^# ---- shell/p' README.txt | sh -s 42

If no entry is printed, nothing is proved: where sed finds no lines, sh has nothing to do and ends with status 0.

Anyone who can change this directory can change README.txt, verify.sh and keys/ too. So use lines, a script and a verifier key that you
have from elsewhere, for instance from "service-fs readme > lines" and "service-fs readme --verify-sh > verify.sh" on a machine
that you trust, and the key that the service printed:

  sed -n '/^# ---- shell/,/^# ---- shell/p' /home/me/lines | sh -s 42 'example.org/ledger+0123abcd+AQ…'
  sh /home/me/verify.sh -d . -k 'example.org/ledger+0123abcd+AQ…'

The lines take some seconds; some minutes where tens of thousands of entries are not below a full tile of level 1 yet. If a
program writes here meanwhile, it may move a file that the lines are about to read: run them again then, or run them in a copy.

${SHELL_MARK}
${SHELL}
${SHELL_MARK}
`
}
