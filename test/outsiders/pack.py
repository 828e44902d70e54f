# Checks an examiner's pack with Python's standard library: python3 -I pack.py DIR. Prints the number of records that it verified, or the
# first error.
#
# It trusts nothing in the pack but ledger/keys/: it reads the files that README.txt describes.

import csv
import json
import os
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import verifier  # noqa: E402
from verifier import False_, expect, sha256  # noqa: E402

PART = 61440
COLUMNS = ["cursor", "id", "time", "type", "size", "entries", "leaf_hash", "sha256", "file", "proof", "author", "author_signature", "signature_file"]


def read(*path):
    with open(os.path.join(*path), "rb") as file:
        return file.read()


def leaf_hash(entry):
    return sha256(b"\0" + entry)


def node(left, right):
    return sha256(b"\1" + left + right)


def root_from(index, size, leaf, proof):
    """RFC 9162, section 2.1.3.2."""
    at, last, root = index, size - 1, leaf
    for hash_ in proof:
        expect(last > 0, "proof: too long")
        if at % 2 == 1 or at == last:
            root = node(hash_, root)
            while at % 2 == 0 and at > 0:
                at, last = at >> 1, last >> 1
        else:
            root = node(root, hash_)
        at, last = at >> 1, last >> 1
    expect(last == 0, "proof: too short")
    return root


def check_record(directory, row, size, root, checkpoint):
    where = row["proof"]
    content = read(directory, row["file"])
    expect(len(content) == row["size"], where + ": size")
    expect(sha256(content).hex() == row["sha256"], where + ": sha256")
    head, note = read(directory, row["proof"]).split(b"\n\n", 1)
    expect(note == checkpoint, where + ": another checkpoint")
    lines = head.decode("ascii").split("\n")
    expect(lines[0] == "c2sp.org/tlog-proof@v1", where + ": first line")
    expect(lines[1].startswith("extra "), where + ": extra")
    header = verifier.unbase64(lines[1][6:].encode(), where)
    expect(lines[2] == "index %d" % (row["cursor"] - 1), where + ": index")
    fields = dict(line.split(": ", 1) for line in header.decode("utf-8").rstrip("\n").split("\n")[1:])
    for name in "id", "type", "time":
        expect(fields[name] == row[name], where + ": " + name)
    expect("part" not in fields, where + ": a later part of a record")
    first = content
    if "parts" in fields:
        expect(int(fields["length"]) == len(content), where + ": length")
        expect(fields["sha256"] == row["sha256"], where + ": sha256 in the header")
        expect(int(fields["parts"]) == row["entries"], where + ": parts")
        first = content[:PART]
    leaf = leaf_hash(header + first)
    expect(leaf == verifier.hash_in(row["leaf_hash"].encode(), where), where + ": leaf hash")
    proof = [verifier.hash_in(line.encode(), where) for line in lines[3:]]
    expect(root_from(row["cursor"] - 1, size, leaf, proof) == root, where + ": root hash")


def check_author(directory, row, author):
    """The signature of an author is a record after the signed one; the header names its hash."""
    where = row["proof"]
    header = verifier.unbase64(read(directory, row["proof"]).split(b"\n")[1][6:], where).decode("utf-8")
    fields = dict(line.split(": ", 1) for line in header.rstrip("\n").split("\n")[1:])
    expect((author is not None) == ("author-signature" in fields), where + ": author")
    if author is None:
        expect(row["author"] + row["author_signature"] + row["signature_file"] == "", where + ": an author in the index")
        return
    expect(author["subject"] == fields["author"] == row["author"], where + ": the author's name")
    expect(author["certificate"] == fields["author-certificate"], where + ": the author's certificate")
    expect(" ".join(author["chain"]) == fields.get("author-chain", ""), where + ": the author's chain")
    expect(author["signed_at"] == fields["author-signed-at"], where + ": the time of the signature")
    expect(row["author_signature"] == ("verified" if author["verified"] else "not verified"), where + ": the judgement")
    if author["verified"]:
        signature = author["signature"]
        expect(signature["cursor"] == row["cursor"] + row["entries"], where + ": the signature's place")
        expect(signature["file"] == row["signature_file"], where + ": the signature's file")
        expect(sha256(read(directory, signature["file"])).hex() == fields["author-signature"], where + ": the signature's hash")


def check_csv(directory, rows):
    with open(os.path.join(directory, "index.csv"), newline="", encoding="utf-8") as file:
        lines = list(csv.reader(file, strict=True))
    expect(lines[0] == COLUMNS, "index.csv: columns")
    expect(len(lines) == len(rows) + 1, "index.csv: number of lines")
    for line, row in zip(lines[1:], rows):
        for name, cell in zip(COLUMNS, line):
            # In some countries, spreadsheet programs separate columns at semicolons.
            for text in cell.split(";"):
                expect(not text.lstrip().startswith(("=", "+", "-", "@")), "index.csv: a formula")
            if name not in ("id", "type", "leaf_hash", "author"):
                expect(cell == str(row[name]), "index.csv: " + name)


def main(directory):
    origin = read(directory, "ledger", "origin").rstrip(b"\n")
    found = [verifier.key_in(read(directory, "ledger", "keys", name).rstrip(b"\n"), origin, name) for name in os.listdir(os.path.join(directory, "ledger", "keys"))]
    keys = dict(key for key in found if key is not None)
    checkpoint = read(directory, "ledger", "checkpoint")
    size, root = verifier.checkpoint_in(checkpoint, origin, keys, "checkpoint")
    rows = json.loads(read(directory, "index.json"))
    files = set()
    for row in rows:
        for name in row["file"], row["proof"]:
            path = os.path.normpath(os.path.join(directory, name))
            expect(path.startswith(os.path.join(directory, "records") + os.sep), name + ": outside of records/")
            expect(name.lower() not in files, name + ": used twice")
            files.add(name.lower())
        check_record(directory, row, size, root, checkpoint)
    found = [os.path.join(at, name) for at, _, names in os.walk(os.path.join(directory, "records")) for name in names]
    expect(len(found) == len(files), "records/: other files")
    check_csv(directory, rows)
    report = json.loads(read(directory, "report.json"))
    expect([r["cursor"] for r in report["records"]] == [r["cursor"] for r in rows], "report.json: records")
    for row, record in zip(rows, report["records"]):
        check_author(directory, row, record.get("author"))
    print("%d records of %s in a tree of %d entries" % (len(rows), origin.decode("utf-8"), size))


if __name__ == "__main__":
    try:
        main(os.path.abspath(sys.argv[1]))
    except (False_, ValueError, KeyError, OSError) as error:
        print("FALSE %s" % error, file=sys.stderr)
        sys.exit(1)
