#!/usr/bin/env python3
"""Verifies a ledger directory. Written from the text of its README.txt alone, with Python's standard library.

Each step names the section of README.txt that it follows. Usage: verifier.py DIR. Prints one line for each ledger and exits with
status 0, or prints what is false and exits with status 1.
"""
import base64
import hashlib
import json
import os
import re
import sys


class False_(Exception):
    """Something is not as README.txt says."""


def expect(truth, message):
    if not truth:
        raise False_(message)


# ---- Ed25519, RFC 8032, section 5.1 and the code in its section 6

P = 2**255 - 19
L = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, P - 2, P) % P
ROOT_OF_MINUS_ONE = pow(2, (P - 1) // 4, P)


def recover_x(y, sign):
    if y >= P:
        return None
    x2 = (y * y - 1) * pow(D * y * y + 1, P - 2, P) % P
    if x2 == 0:
        return None if sign else 0
    x = pow(x2, (P + 3) // 8, P)
    if (x * x - x2) % P != 0:
        x = x * ROOT_OF_MINUS_ONE % P
    if (x * x - x2) % P != 0:
        return None
    return P - x if x & 1 != sign else x


def add(a, b):
    e = (a[1] - a[0]) * (b[1] - b[0]) % P
    f = (a[1] + a[0]) * (b[1] + b[0]) % P
    g = 2 * a[3] * b[3] * D % P
    h = 2 * a[2] * b[2] % P
    e, f, g, h = f - e, h - g, h + g, f + e
    return (e * f % P, g * h % P, f * g % P, e * h % P)


def times(n, point):
    result = (0, 1, 1, 0)
    while n > 0:
        if n & 1:
            result = add(result, point)
        point = add(point, point)
        n >>= 1
    return result


def point_of(data):
    y = int.from_bytes(data, "little")
    sign = y >> 255
    y &= (1 << 255) - 1
    x = recover_x(y, sign)
    return None if x is None else (x, y, 1, x * y % P)


BASE_Y = 4 * pow(5, P - 2, P) % P
BASE = (recover_x(BASE_Y, 0), BASE_Y, 1, recover_x(BASE_Y, 0) * BASE_Y % P)


def ed25519_verifies(key, text, signature):
    if len(key) != 32 or len(signature) != 64:
        return False
    a, r = point_of(key), point_of(signature[:32])
    s = int.from_bytes(signature[32:], "little")
    if a is None or r is None or s >= L:
        return False
    h = int.from_bytes(hashlib.sha512(signature[:32] + key + text).digest(), "little") % L
    one, other = times(s, BASE), add(r, times(h, a))
    return (one[0] * other[2] - other[0] * one[2]) % P == 0 and (one[1] * other[2] - other[1] * one[2]) % P == 0


# ---- Section 1: text, base64, numbers

MOST = 9007199254740991
BASE64 = re.compile(rb"(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?")


def unbase64(text, where):
    expect(BASE64.fullmatch(text) is not None, f"{where}: not base64")
    data = base64.b64decode(text)
    expect(base64.b64encode(data) == text, f"{where}: base64 with unused bits that are not zero")
    return data


def hash_in(text, where, size=32):
    data = unbase64(text, where)
    expect(len(data) == size, f"{where}: not a hash")
    return data


def number(text, where):
    expect(re.fullmatch(rb"0|[1-9][0-9]{0,15}", text) is not None and int(text) <= MOST, f"{where}: not a number")
    return int(text)


def lines_in(data, where):
    expect(data.endswith(b"\n"), f"{where}: the last line does not end in a line feed")
    return data[:-1].split(b"\n")


# ---- Section 2: the tree


def sha256(data):
    return hashlib.sha256(data).digest()


class Tree:
    """The hashes of all perfect subtrees: levels[k][i] is over the entries from i * 2**k on."""

    def __init__(self, entries, digest=sha256):
        self.digest = digest
        self.levels = [[digest(b"\0" + entry) for entry in entries]]
        while len(self.levels[-1]) > 1:
            below = self.levels[-1]
            self.levels.append([self.node(below[i], below[i + 1]) for i in range(0, len(below) - 1, 2)])

    def node(self, left, right):
        return self.digest(b"\1" + left + right)

    def edge(self, size):
        """The perfect subtrees of the first `size` entries, the largest first (section 5)."""
        return [self.levels[k][(size >> k) - 1] for k in range(size.bit_length() - 1, -1, -1) if size >> k & 1]

    def root(self, size):
        if size == 0:
            return self.digest(b"")
        *rest, root = self.edge(size)
        while rest:
            root = self.node(rest.pop(), root)
        return root


def tile_path(level, index, width):
    groups = f"{index % 1000:03}"
    while index >= 1000:
        index //= 1000
        groups = f"x{index % 1000:03}/{groups}"
    return f"tile/{level}/{groups}{'' if width == 256 else f'.p/{width}'}.b64"


# ---- Section 3: keys and signed checkpoints


def key_in(text, origin, where):
    """Returns the key id and the public key of a verifier key; None for a type that is to be ignored."""
    name, plus, rest = text.partition(b"+")
    found = re.fullmatch(rb"([0-9a-f]{8})\+(.+)", rest)
    expect(plus and found is not None, f"{where}: not a verifier key")
    expect(name == origin, f"{where}: the key's name is not the origin")
    data = unbase64(found[2], where)
    key_id = sha256(name + b"\n" + data)[:4]
    expect(key_id.hex().encode() == found[1], f"{where}: not the key's id")
    if data[:1] != b"\1":
        return None
    expect(len(data) == 33, f"{where}: not an Ed25519 key")
    point = point_of(data[1:])
    expect(point is not None, f"{where}: not the canonical encoding of a point")
    expect(times(8, point)[0] % P != 0, f"{where}: a point of low order")
    return key_id, data[1:]


def checkpoint_in(note, origin, keys, where, hash_size=32):
    """Returns the size and the root hash of a signed checkpoint."""
    text, empty, signatures = note.rpartition(b"\n\n")
    lines = text.split(b"\n")
    expect(empty and len(lines) >= 3 and b"" not in lines, f"{where}: not a checkpoint")
    expect(lines[0] == origin, f"{where}: not the origin")
    size, root = number(lines[1], where), hash_in(lines[2], where, hash_size)
    known = 0
    for line in lines_in(signatures, where):
        found = re.fullmatch(rb"\xe2\x80\x94 ([^ ]+) ([^ ]+)", line)
        expect(found is not None, f"{where}: not a signature line")
        data = unbase64(found[2], where)
        expect(len(data) > 4, f"{where}: an empty signature")
        if found[1] == origin and data[:4] in keys:
            known += 1
            expect(ed25519_verifies(keys[data[:4]], text + b"\n", data[4:]), f"{where}: a signature is not right")
    expect(known > 0, f"{where}: no signature by a key from keys/")
    return size, root


# ---- Section 4: entries

TIME = re.compile(r"(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)\.\d{3}Z", re.ASCII)
CONTROL = re.compile("[\u0000-\u001f\u007f-\u009f]")
CLOCK = "application/vnd.service-fs.clock+json"
TREE = "application/vnd.service-fs.tree+json"
PART = 61440


def is_time(text):
    found = TIME.fullmatch(text)
    if found is None:
        return False
    year, month, day, hour, minute, second = map(int, found.groups())
    leap = year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
    days = [31, 29 if leap else 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31]
    return 1 <= month <= 12 and 1 <= day <= days[month - 1] and hour < 24 and minute < 60 and second < 60


def parse_entry(entry, where):
    end = entry.find(b"\n\n")
    expect(0 <= end and end + 2 <= 4095, f"{where}: no header")
    try:
        lines = entry[:end].decode("utf-8").split("\n")
    except UnicodeDecodeError:
        raise False_(f"{where}: the header is not UTF-8") from None
    expect(lines[0] == "service-fs/entry/v1" and len(lines) >= 4, f"{where}: not an entry")
    fields = {}
    for i, line in enumerate(lines[1:]):
        name, colon, value = line.partition(": ")
        expect(colon and CONTROL.search(value) is None, f"{where}: not a header line")
        if i < 3:
            expect(name == ("id", "type", "time")[i], f"{where}: expected id, type and time")
        else:
            expect(re.fullmatch("[a-z][a-z0-9-]{0,63}", name) is not None, f"{where}: not a field's name")
            expect(name not in fields and (i == 3 or name > last), f"{where}: fields are not in order")
        fields[name] = value
        last = name
    expect(1 <= len(fields["id"].encode()) <= 256, f"{where}: the id's length")
    expect(1 <= len(fields["type"].encode()) <= 255, f"{where}: the type's length")
    expect(is_time(fields["time"]), f"{where}: not a time")
    return fields, entry[end + 2 :]


class Records:
    """Follows the entries in order: whole records, unique ids, times that do not go back."""

    def __init__(self):
        self.ids = set()
        self.time = ""
        self.open = None
        self.bindings = []

    def next(self, entry, where):
        fields, data = parse_entry(entry, where)
        if fields["time"] < self.time:
            self.sets_back(fields, data, where)
        self.time = fields["time"]
        if "part" in fields:
            return self.part(fields, data, where)
        expect(self.open is None, f"{where}: the record before is not whole")
        if fields["type"] == TREE:
            expect(not any(name in fields for name in ("length", "parts", "sha256")), f"{where}: a split binding")
            self.bindings.append((where, data))
        expect(fields["id"] not in self.ids, f"{where}: an id that another record has")
        self.ids.add(fields["id"])
        if any(name in fields for name in ("length", "parts", "sha256")):
            expect(all(name in fields for name in ("length", "parts", "sha256")), f"{where}: not a split record")
            length, parts = (number(fields[name].encode(), where) for name in ("length", "parts"))
            expect(parts >= 2 and parts == -(-length // PART) and len(data) == PART, f"{where}: not the parts of {length} bytes")
            expect(re.fullmatch("[0-9a-f]{64}", fields["sha256"]) is not None, f"{where}: not a sha256")
            self.open = (fields, length, parts, 1, hashlib.sha256(data))

    def part(self, fields, data, where):
        found = re.fullmatch("([1-9][0-9]*)/([1-9][0-9]*)", fields["part"])
        expect(found is not None and len(fields) == 4 and self.open is not None, f"{where}: a part without its first one")
        first, length, parts, seen, digest = self.open
        same = all(first[name] == fields[name] for name in ("id", "type", "time"))
        expect(same and int(found[1]) == seen + 1 and int(found[2]) == parts, f"{where}: not the next part")
        expect(len(data) == min(PART, length - PART * seen), f"{where}: not the length of this part")
        digest.update(data)
        self.open = (first, length, parts, seen + 1, digest)
        if seen + 1 == parts:
            expect(digest.hexdigest() == first["sha256"], f"{where}: not the sha256 of the record")
            self.open = None

    def sets_back(self, fields, data, where):
        """An operator may have set the clock back."""
        expect(fields["type"] == CLOCK and "part" not in fields and "parts" not in fields, f"{where}: a time before that of the entry before")
        try:
            said = json.loads(data)
            right = said["newest"] >= self.time and said["now"] == fields["time"]
        except (ValueError, KeyError, TypeError):
            right = False
        expect(right, f"{where}: not a correction of the clock")

    def end(self):
        expect(self.open is None, "the last record is not whole")


# ---- Section 5: the tail


class Tail:
    """One file: its edge, its entries, and the size, root and signed size of its commits."""

    def __init__(self, path, start, data, origin, keys):
        self.path, self.start, self.edge, self.lines, self.commits = path, start, [], [], []
        at = 0
        for _ in range(bin(start).count("1")):
            self.edge.append(hash_in(data[at : at + 44], f"{path}: edge"))
            expect(data[at + 44 : at + 45] == b"\n", f"{path}: edge")
            at += 45
        expect(data[at : at + 1] == b"\n", f"{path}: no empty line after the edge")
        at += 1
        self.torn = False
        while at < len(data) and not (self.lines and not data[at:].strip(b"\n\0")):
            try:
                at = self.commit(data, at, origin, keys)
            except False_:
                if not (self.lines and is_torn(data, at)):
                    raise
                self.torn = True
                return
        expect(self.commits, f"{path}: no commit")

    def commit(self, data, at, origin, keys):
        where = f"{self.path} byte {at}"
        if data[at : at + 1] == b"\n":
            lines, at = [], at + 1
        else:
            end = data.find(b"\n\n", at)
            expect(end >= 0, f"{where}: no whole commit")
            lines, at = data[at:end].split(b"\n"), end + 2
        expect(lines or not self.commits, f"{where}: a commit without entries")
        for line in lines:
            expect(1 <= len(unbase64(line, where)) <= 65535, f"{where}: not an entry")
        text = data.find(b"\n\n", at)
        end = data.find(b"\n\n", text + 2) if text >= 0 else -1
        expect(end >= 0, f"{where}: no whole commit")
        size, root = checkpoint_in(data[at : end + 1], origin, keys, where)
        self.lines += lines
        expect(size == self.start + len(self.lines), f"{where}: the checkpoint's size is not that of the entries")
        self.commits.append((size, root))
        return end + 2


def is_torn(data, o):
    last = len(data.rstrip(b"\n\0")) - 1
    if last < o:
        return False
    for found in re.finditer(rb"(?:^|(?<=\n))\xe2\x80\x94 ", data[o:]):
        end = data.find(b"\n\n", o + found.start())
        if 0 <= end and end + 1 < last:
            return False
    for sector in range(o - o % 512, last - 511, 512):
        if not data[max(sector, o) : sector + 512].strip(b"\n\0"):
            return True
    if data[last + 1 : last + 3] != b"\n\n":
        return True
    first = o - 1 if data[o : o + 1] == b"\n" else data.find(b"\n\n", o)
    second = -1 if first == -1 and data[o : o + 1] != b"\n" else data.find(b"\n\n", first + 2)
    if second < 0 or second > last:
        return True
    return len(data) > last + 3 and -(last + 1) % 512 <= 2


# ---- Section 6: the second trees. hashlib has no BLAKE3.

HASHES = {
    "sha3-256": (lambda data: hashlib.sha3_256(data).digest(), 32),
    "sha2-512": (lambda data: hashlib.sha512(data).digest(), 64),
    "blake3": (None, 32),
}
FOLDER = r"((sha3-256|sha2-512|blake3)/)?tile/"
SECOND = r"(sha3-256|sha2-512|blake3)/(origin|checkpoint|left-out\.txt|keys/ed25519\.vkey|tile/.*\.b64)"

# ---- All of it


class Ledger:
    def __init__(self, directory, parent):
        self.directory, self.parent = directory, parent
        self.files = {}
        self.list("")

    def list(self, folder):
        for entry in sorted(os.scandir(os.path.join(self.directory, folder)), key=lambda entry: entry.name):
            path = folder + entry.name
            # Section 1: the working files of the running program, and the audit.
            if folder == "" and entry.name in ("lock", "tmp", "cache"):
                continue
            if path == "audit" and self.parent is None and entry.is_dir(follow_symlinks=False):
                continue
            # Section 6: the second trees.
            if folder.rstrip("/") in HASHES and entry.name in ("lock", "tmp", "cache"):
                continue
            if entry.is_dir(follow_symlinks=False) and (path in ("keys", "tile", "tail", *HASHES) or re.match(FOLDER, folder) or (folder.rstrip("/") in HASHES and entry.name in ("keys", "tile"))):
                self.list(path + "/")
            else:
                known = r"README\.txt|README-2\.txt|verify\.sh|origin|checkpoint|keys/[a-z0-9-]+\.vkey|tail/\d{12,16}|tile/.*\.b64|" + SECOND
                expect(entry.is_file(follow_symlinks=False) and re.fullmatch(known, path) is not None, f"{path}: not a file of a ledger")
                self.files[path] = os.path.join(self.directory, path)

    def read(self, path):
        expect(path in self.files, f"{path}: not there")
        with open(self.files[path], "rb") as file:
            return file.read()

    def one_line(self, path):
        lines = lines_in(self.read(path), path)
        expect(len(lines) == 1 and lines[0] != b"", f"{path}: not one line")
        return lines[0]

    def verify(self):
        # Section 1: README.txt names the hash of verify.sh.
        named = self.read("README.txt").decode("utf-8")
        if "README-2.txt" in self.files:
            named += self.read("README-2.txt").decode("utf-8")
        if "verify.sh" in self.files:
            expect(sha256(self.read("verify.sh")).hex() in named, "verify.sh: not the script that README.txt names")
        origin = self.one_line("origin")
        expect(self.parent is None or origin == self.parent + b"/audit", "origin: not that of the audit")
        vkeys = [path for path in self.files if path.startswith("keys/")]
        expect(vkeys, "keys: none")
        keys = dict(filter(None, (key_in(self.one_line(path), origin, path) for path in vkeys)))
        published = checkpoint_in(self.read("checkpoint"), origin, keys, "checkpoint")
        tails = self.tails(origin, keys)
        # Section 5: the newest checkpoint.
        size, root = published
        if tails:
            size, root = tails[-1].commits[-1]
            expect(published[0] <= size, "checkpoint: more entries than the tail")
        lines = self.entries(size, tails)
        content = [base64.b64decode(line) for line in lines]
        tree = Tree(content)
        self.tiles(size, tails, lines, tree)
        for tail in tails:
            expect(tail.edge == tree.edge(tail.start), f"{tail.path}: not the edge at its first entry")
            for signed, found in tail.commits:
                expect(found == tree.root(signed), f"{tail.path}: not the root hash of {signed} entries")
        expect(published[1] == tree.root(published[0]), "checkpoint: not the root hash of its entries")
        records = Records()
        for i, line in enumerate(lines):
            records.next(base64.b64decode(line), f"entry {i}")
        records.end()
        self.second_trees(origin, size, content, tree, records.bindings)
        print(f"true: {origin.decode()} has {size} entries, {len(records.ids)} records, root hash {base64.b64encode(root).decode()}")
        return origin

    def second_trees(self, origin, size, content, tree, bindings):
        """Section 6."""
        bound = [self.binding(origin, where, data, tree) for where, data in bindings]
        for name, (digest, length) in HASHES.items():
            mine = [members for members in bound if members["algorithm"] == name]
            files = [path for path in self.files if path.startswith(name + "/")]
            if files == [f"{name}/left-out.txt"]:
                print(f"note: {name}/ is left out")
                continue
            expect(f"{name}/left-out.txt" not in files, f"{name}: both left out and there")
            expect(not mine or files, f"{name}: not there")
            if not files:
                continue
            if digest is None:
                print(f"note: {name}/ is not checked")
                continue
            second = Tree(content, digest)
            for members in mine:
                root = base64.b64encode(second.root(members["size"])).decode()
                expect(root == members["root"], f"{name}: not the root hash that an entry binds")
            self.second_tree(name, origin + b"/" + name.encode(), size, second, length, mine)

    def second_tree(self, name, origin, log_size, tree, length, bound):
        parts = [f"{name}/{part}" for part in ("origin", "keys/ed25519.vkey", "checkpoint")]
        missing = [part for part in parts if part not in self.files]
        expect(not bound or not missing, f"{missing}: not there")
        size = 0
        if not missing:
            expect(self.one_line(parts[0]) == origin, f"{parts[0]}: not the name of the tree")
            vkey = self.one_line(parts[1])
            expect(all(members["vkey"].encode() == vkey for members in bound), f"{parts[1]}: not the key that an entry binds")
            key = key_in(vkey, origin, parts[1])
            expect(key is not None, f"{parts[1]}: not an Ed25519 key")
            size, root = checkpoint_in(self.read(parts[2]), origin, dict([key]), parts[2], length)
            expect(size <= log_size, f"{parts[2]}: more entries than the ledger")
            expect(tree.root(size) == root, f"{parts[2]}: not the root hash of its entries")
        known = set()
        for level in range(8):
            for index in range(log_size // 256 ** (level + 1)):
                path = f"{name}/{tile_path(level, index, 256)}"
                if path not in self.files:
                    expect((index + 1) * 256 ** (level + 1) > size, f"{path}: not there")
                    continue
                known.add(path)
                for i, line in enumerate(self.tile(path, 256)):
                    found = hash_in(line, f"{path} line {i + 1}", length)
                    expect(found == tree.levels[8 * level][256 * index + i], f"{path} line {i + 1}: not the hash that belongs there")
        for path in self.files:
            expect(not path.startswith(f"{name}/tile/") or path in known, f"{path}: not a tile of this tree")

    def binding(self, origin, where, data, tree):
        try:
            members = json.loads(data.decode("utf-8"))
            names = ("algorithm", "origin", "root", "sha256Root", "size", "vkey")
            expect(tuple(members) == names, f"{where}: not the members of a binding")
            text = json.dumps(members, ensure_ascii=False, separators=(",", ":")).encode()
            expect(text == data and members["algorithm"] in HASHES, f"{where}: not a binding")
            expect(members["origin"].encode() == origin + b"/" + members["algorithm"].encode(), f"{where}: not the name of the tree")
            hash_in(members["root"].encode(), where, HASHES[members["algorithm"]][1])
            key = key_in(members["vkey"].encode(), members["origin"].encode(), where)
            expect(key is not None and type(members["size"]) is int, f"{where}: not a binding")
        except (ValueError, TypeError, AttributeError):
            raise False_(f"{where}: not a binding") from None
        expect(0 <= members["size"] <= int(where.split()[1]), f"{where}: a tree of more entries than there are before it")
        expect(hash_in(members["sha256Root"].encode(), where) == tree.root(members["size"]), f"{where}: not the root hash of the ledger")
        return members

    def tails(self, origin, keys):
        found = sorted((int(path[5:]), path) for path in self.files if path.startswith("tail/"))
        for start, path in found:
            expect(path == f"tail/{start:012}", f"{path}: not the name of a tail file")
        tails = [Tail(path, start, self.read(path), origin, keys) for start, path in found]
        for tail, after in zip(tails, tails[1:]):
            expect(not tail.torn or after.start == tail.start + len(tail.lines), f"{tail.path}: torn, but not the last")
        return tails

    def entries(self, size, tails):
        """Section 2: an entry is in a bundle, in the tail, or in both."""
        lines = [None] * size
        for tail in tails:
            for i, line in enumerate(tail.lines, tail.start):
                expect(i < size and lines[i] in (None, line), f"{tail.path}: entry {i} is not as in another file")
                lines[i] = line
        for index in range(-(-size // 256)):
            width = min(256, size - 256 * index)
            path = tile_path("entries", index, width)
            if path not in self.files:
                continue
            for i, line in enumerate(self.tile(path, width), 256 * index):
                expect(1 <= len(unbase64(line, path)) <= 65535, f"{path}: not an entry")
                expect(lines[i] in (None, line), f"{path} line {i % 256 + 1}: not as in the tail")
                lines[i] = line
        for i, line in enumerate(lines):
            expect(line is not None, f"entry {i}: neither in {tile_path('entries', i // 256, 256)} nor in the tail")
        return lines

    def tile(self, path, width):
        lines = lines_in(self.read(path), path)
        expect(len(lines) == width, f"{path}: expected {width} lines, found {len(lines)}")
        return lines

    def tiles(self, size, tails, lines, tree):
        """Section 2: every line of every tile, and which tiles must be there."""
        sealed = tails[0].start if tails else size
        known = set()
        for level in ("entries", *range(8)):
            height = 0 if level == "entries" else level
            span = 256**height
            for index in range(-(-(size // span) // 256)):
                width = min(256, size // span - 256 * index)
                whole = lines if level == "entries" else tree.levels[8 * height]
                for part in range(1, width + 1):
                    path = tile_path(level, index, part)
                    if path not in self.files:
                        must = (index + 1) * 256 * span <= sealed if width == 256 else not tails
                        expect(part < width or not must, f"{path}: not there")
                        continue
                    known.add(path)
                    for i, line in enumerate(self.tile(path, part)):
                        expected = whole[256 * index + i]
                        found = line if level == "entries" else hash_in(line, f"{path} line {i + 1}")
                        expect(found == expected, f"{path} line {i + 1}: not the entry or the hash that belongs there")
        for path in self.files:
            expect(not path.startswith("tile/") or path in known, f"{path}: not a tile of this tree")


def main(directory):
    try:
        origin = Ledger(directory, None).verify()
        audit = os.path.join(directory, "audit")
        if os.path.isdir(audit):
            directory = audit
            Ledger(audit, origin).verify()
    except (False_, UnicodeDecodeError) as error:
        print(f"FALSE: {directory}: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
