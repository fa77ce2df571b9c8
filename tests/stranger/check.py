"""Holds the second reader against the test vectors: python3 tests/stranger/check.py docs/vectors

Opens every good vector and refuses every bad one with the right failure class. It also tries the
reader itself: the worked values of docs/FORMAT.md, messages of the second writer, and small good
messages with every bit flipped and cut off at every byte. Exit code 1 where anything fails, or
where no vector was found.
"""

import json
import pathlib
import sys

sys.dont_write_bytecode = True

import reader as r
import slot_writer
import slots
import writer

# Larger messages are opened, not flipped bit by bit.
FLIP_UP_TO = 700


class Counts:
    def __init__(self):
        self.passed = 0
        self.failed = 0

    def note(self, good, what):
        if good:
            self.passed += 1
        else:
            self.failed += 1
            print(f"FAILED {what}")


def hex_field(vector, name):
    return bytes.fromhex(vector[name]) if name in vector else None


def open_vector(vector):
    """(result, plaintext) as the reader under test answers."""
    scope, context = list(vector["scope"].items()), list(vector["context"].items())
    data_key = hex_field(vector, "data_key")
    try:
        if "keys" in vector:
            ring = slots.Ring(vector["keys"], vector.get("entries", []))
            plain = slots.open_message(hex_field(vector, "message"), scope, context, ring)
        elif "header" in vector:
            header, body = hex_field(vector, "header"), hex_field(vector, "body")
            plain = r.open_detached(header, body, scope, context, data_key)
        else:
            message, branch = hex_field(vector, "message"), hex_field(vector, "branch_key")
            plain = r.open_message(message, scope, context, data_key, branch)
    except r.Refused as refusal:
        return refusal.kind, None
    return "ok", plain


def check_vector(vector, counts, where):
    result, plain = open_vector(vector)
    wanted = vector["result"]
    good = result == wanted
    if good and wanted == "ok":
        good = plain == bytes.fromhex(vector.get("plaintext", ""))
    counts.note(good, f"{where}: {vector['name']}: wanted {wanted}, got {result}")
    return good


def altered(vector, name, data):
    return vector | {name: data.hex()}


def check_alterations(vector, counts, where):
    """Every bit flipped, every cut, one byte more: refused (section 9.1)."""
    for name in ("message", "header", "body"):
        if name not in vector:
            continue
        data = hex_field(vector, name)
        if len(data) > FLIP_UP_TO:
            continue
        head_length, free = parts(data, name)
        # Opening slots takes long: there each byte has another bit flipped.
        bits = (8 * at + at % 8 for at in range(len(data))) if "keys" in vector else range(8 * len(data))
        for bit in bits:
            flipped = bytearray(data)
            flipped[bit // 8] ^= 1 << bit % 8
            result, _ = open_vector(altered(vector, name, flipped))
            # The data key is given, so nothing vouches for versions and wrapped bytes (6.1).
            good = result != "ok" or bit // 8 in free
            if "keys" in vector:
                good = result != "ok"
            if bit // 8 >= head_length and "keys" not in vector:
                good = result == r.AUTHENTICATION_FAILED
            counts.note(good, f"{where}: {vector['name']}: bit {bit} of {name} flipped: {result}")
        for length in range(0, len(data), 7 if "keys" in vector else 1):
            result, _ = open_vector(altered(vector, name, data[:length]))
            wanted = r.MALFORMED if length < head_length else r.AUTHENTICATION_FAILED
            what = f"{where}: {vector['name']}: {name} cut to {length} bytes: {result}"
            counts.note(result == wanted, what)
        result, _ = open_vector(altered(vector, name, data + b"\0"))
        counts.note(result != "ok", f"{where}: {vector['name']}: {name} with a byte more: {result}")


def parts(data, name):
    """Length of what comes before the body, and the offsets that no data key vouches for."""
    if name == "body":
        return 0, range(0)
    if data[:1] == b"\xf7":
        return 24, range(0)
    header = r.parse_header(data)
    return header.length, header.uncovered


def check_vectors(vectors, counts, where):
    """All vectors, and alterations of the first good ones of each sort."""
    names = [vector["name"] for vector in vectors]
    counts.note(len(set(names)) == len(names), f"{where}: two vectors have one name")
    tried = set()
    for vector in vectors:
        good = check_vector(vector, counts, where)
        sort = sort_of(vector)
        if good and vector["result"] == "ok" and sort is not None and sort not in tried:
            tried.add(sort)
            check_alterations(vector, counts, where)


def sort_of(vector):
    if "keys" in vector:
        # Where no other slot can open; the dear one takes too long.
        alone = hex_field(vector, "message")[:18][17:] == b"\1" and "cost" not in vector["name"]
        return vector["name"] if alone else None
    data = hex_field(vector, "header" if "header" in vector else "message")
    at = 2 if data[:1] == b"\xf7" else 12
    return data[:1], data[at : at + 4], "header" in vector, "branch_key" in vector


def check_worked_values(counts):
    """Section 14.2, and the first vector of c2sp.org/XAES-256-GCM."""
    key, scope = writer.DATA_KEY, r.scope_pairs(writer.SCOPE)
    values = {
        "key id": (r.data_key_id(key), "1110bba3b9c4fc1886a7cbf5b699a2c9"),
        "K_body[3]": (
            r.body_key(key, 3),
            "36b56fe8aab2ac49e280882cc2b856d9e2daf80b83254afb42acedd8b19451fc",
        ),
        "branch data key": (
            r.branch_data_key(key, 1, bytes(range(16)), scope),
            "69124abab42fcad6c983d0cfe5eef32ae83199a523d5336de4bb67cb3be046b0",
        ),
        "record in suite 3": (
            writer.seal_body(3, r.RECORD, 0, b"vaultkit")[24:],
            "5b13daff0d9667a9741290517fd1b64fc5e3677aec6e70a266ecfe82455591bb"
            "39d2ba2754c4249a2904fd862c265df8de114a0cdae4a85f",
        ),
        "stream in suite 1": (
            writer.seal_body(1, r.STREAM, 0, b"vaultkit")[24:],
            "cffad929c59f93334d01a21869df8f5f3a2fe4e664862d2f6a0f83b12b105616"
            "05618ca3d9f3f45b27141a2312659be66b322f168c0216de",
        ),
        "XAES-256-GCM": (
            r.xaes_derive(b"\1" * 32, b"ABCDEFGHIJKLMNOPQRSTUVWX")[0],
            "c8612c9ed53fe43e8e005b828a1631a0bbcb6ab2f46514ec4f439fcfd0fa969b",
        ),
    }
    for name, (found, wanted) in values.items():
        counts.note(found.hex() == wanted, f"worked value: {name}")


def check_wrong_pairs(counts):
    """A message opens under its own key, scope and context only."""
    vector = next(v for v in writer.vectors() if v["result"] == "ok")
    wrong = {
        "key": {"data_key": bytes(32).hex()},
        "scope": {"scope": {"tenant": "other"}},
        "context": {"context": {"row": "43", "table": "cards"}},
        "no context": {"context": {}},
    }
    for name, change in wrong.items():
        result, _ = open_vector(vector | change)
        counts.note(result == r.AUTHENTICATION_FAILED, f"wrong {name}: {result}")


def main(arguments):
    if len(arguments) != 1:
        print("usage: check.py DIR    (a folder of test vectors, *.json)", file=sys.stderr)
        return 2
    counts = Counts()
    check_worked_values(counts)
    check_wrong_pairs(counts)
    check_vectors(list(writer.vectors()), counts, "second writer")
    print(f"the reader itself: {counts.passed} passed, {counts.failed} failed")
    found = 0
    for path in sorted(pathlib.Path(arguments[0]).glob("*.json")):
        vectors = json.loads(path.read_text(encoding="utf-8"))
        before = counts.passed, counts.failed
        check_vectors(vectors, counts, path.name)
        found += len(vectors)
        if path.name == "stranger.json":
            same = path.read_text(encoding="utf-8") == slot_writer.render()
            counts.note(same, "stranger.json is not what slot_writer.py gives")
        good = sum(1 for vector in vectors if vector["result"] == "ok")
        passed, failed = counts.passed - before[0], counts.failed - before[1]
        sorts = f"{good} good and {len(vectors) - good} bad vectors"
        print(f"{path.name}: {sorts}, {passed} checks passed, {failed} failed")
    if found == 0:
        counts.note(False, f"no test vector in {arguments[0]}")
    print(f"{counts.passed} passed, {counts.failed} failed")
    return 1 if counts.failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
