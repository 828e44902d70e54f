"""python3 verify.py URL VKEY ID FILE: proves that the log whose verifier key is VKEY contains FILE as the record ID.

It uses the standard library only. The server is not trusted: everything follows from the file, the id and the key.
"""

import base64
import hashlib
import json
import sys
import urllib.parse
import urllib.request

import ed25519

PART_BYTES = 61440  # docs/format.md: a larger record is split into parts of this size, and a proof covers the first


class Invalid(Exception):
    """The proof does not prove the record."""


def check(condition, reason):
    if not condition:
        raise Invalid(reason)


def fetch(path):
    with urllib.request.urlopen(url + path, timeout=60) as answer:
        return answer.read()


def parse_proof(text):
    """Splits a c2sp.org/tlog-proof into the entry's header, its index, the hashes and the checkpoint."""
    proof, _, checkpoint = text.partition("\n\n")
    magic, extra, index, *hashes = proof.split("\n")
    check(magic == "c2sp.org/tlog-proof@v1", "not a tlog-proof")
    check(extra.startswith("extra ") and index.startswith("index "), "no extra line or no index line")
    header = base64.b64decode(extra[6:], validate=True)
    return header, int(index[6:]), [base64.b64decode(line, validate=True) for line in hashes], checkpoint


def entry_of(header, payload):
    """Returns the entry that consists of the header and the payload; for a split record, its first part."""
    fields = dict(line.split(": ", 1) for line in header.decode().split("\n")[1:] if line != "")
    check(fields["id"] == record_id, f"the proof is of {fields['id']}")
    if "sha256" not in fields:
        return header + payload
    check(fields["length"] == str(len(payload)), "the record has another length")
    check(fields["sha256"] == hashlib.sha256(payload).hexdigest(), "the record has another SHA-256")
    return header + payload[:PART_BYTES]


def node(left, right):
    return hashlib.sha256(b"\x01" + left + right).digest()


def root_of(leaf, index, size, hashes):
    """Returns the root hash that an inclusion proof leads to (RFC 9162, section 2.1.3.2)."""
    check(index < size, "the index is not in the tree")
    root, last = leaf, size - 1
    for sibling in hashes:
        check(last > 0, "the proof is too long")
        if index % 2 == 1 or index == last:
            root = node(sibling, root)
            while index % 2 == 0 and index > 0:
                index, last = index >> 1, last >> 1
        else:
            root = node(root, sibling)
        index, last = index >> 1, last >> 1
    check(last == 0, "the proof is too short")
    return root


def open_checkpoint(note, vkey):
    """Verifies a signed note (c2sp.org/signed-note), and returns the tree size and the root hash."""
    name, key_id, key = vkey.split("+", 2)
    key = base64.b64decode(key, validate=True)
    check(key[0] == 1 and len(key) == 33, "not an Ed25519 key")
    check(hashlib.sha256(name.encode() + b"\n" + key).digest()[:4].hex() == key_id, "not the key's id")
    text, _, signatures = note.partition("\n\n")
    text += "\n"
    origin, size, root = text.split("\n")[:3]
    check(origin == name, f"the checkpoint is of {origin}")
    for line in signatures.split("\n"):
        dash, signer, signature = (line.split(" ") + ["", ""])[:3]
        data = base64.b64decode(signature) if dash == "—" and signer == name else b""
        if data[:4].hex() == key_id and ed25519.verify(key[1:], text.encode(), data[4:]):
            return int(size), base64.b64decode(root, validate=True)
    raise Invalid("the checkpoint has no valid signature by the key")


def main():
    with open(file, "rb") as f:
        payload = f.read()
    record = json.loads(fetch("v1/records/" + urllib.parse.quote(record_id, safe="")))
    header, index, hashes, note = parse_proof(fetch(f"v1/entries/{record['cursor']}/proof").decode())
    leaf = hashlib.sha256(b"\x00" + entry_of(header, payload)).digest()
    size, root = open_checkpoint(note, vkey)
    check(root_of(leaf, index, size, hashes) == root, "the proof leads to another root hash")
    print(f"true: {record_id} is entry {index} of {size} in {vkey.split('+')[0]}")


url, vkey, record_id, file = sys.argv[1:]
try:
    main()
except Invalid as reason:
    print(f"false: {reason}")
    sys.exit(1)
