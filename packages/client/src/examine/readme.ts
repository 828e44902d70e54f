import { visibleLine } from '@service-fs/format/visible'

/** Returns the text of README.txt for a pack of the ledger `origin`. */
export function readmeOfPack(origin: string): string {
  return `Records of the service-fs ledger ${visibleLine(origin)}, with their proofs.

index.html     A page that searches and shows the records and checks their proofs. Open it in a browser; it needs no network.
report.html    The integrity report: the checks that were made, those that were not, and each record with the duty to
               keep it and with its author, if an author signed it. report.json is for programs.
index.csv      One line a record: cursor, id, time, type, size, entries, leaf_hash, sha256, file, proof, author, author_signature,
               signature_file. The last three are empty if no author signed the record. A field that a spreadsheet program would take
               as a formula has an apostrophe before it; control and invisible characters are written as \\uXXXX.
index.json     The same with the exact values.
records/       The content of each record, byte for byte, and beside it its .tlog-proof (c2sp.org/tlog-proof). The signature of an
               author over the content of a record is a record too: a JWS without its payload (.jose, RFC 7515), or CMS (.p7s, RFC 5652).
ledger/        The files that verify the proofs: checkpoint, the signed checkpoint that they lead to (c2sp.org/tlog-checkpoint); keys/, the keys
               that verify its signature (C2SP vkeys); origin, the name of the ledger; README.txt, which explains the formats of the
               whole ledger; verify.sh, which verifies a proof with a shell, coreutils, sed, awk and openssl 3.
audit/         Only in a pack that a server made: the entry of the audit sub-ledger that records this examination, examination.json, with
               its .tlog-proof, and the keys of the sub-ledger, keys.txt. The proof is verified like that of a record, with such a key.
page/          The data of index.html.

To verify a record with tools that do not come from this pack, take verify.sh from a source that you trust, get the ledger's key
KEY from its owner by another way than this pack, and run in this directory

    sh verify.sh -d ledger -k "KEY" proof RECORD.tlog-proof RECORD

or service-fs verify-proof RECORD.tlog-proof --record RECORD --vkey "KEY". Each .tlog-proof has the header of the entry in its line
"extra", in base64: its identifier, media type and time of deposit. SHA-256 of a zero byte, the header and the content is the leaf
hash (RFC 6962, section 2.1). If the record takes several entries, only the first 61,440 bytes of the content are hashed there; the
header has the length and the SHA-256 of all of it. The lines after "index" are the inclusion proof (RFC 9162, section 2.1.3).
`
}
