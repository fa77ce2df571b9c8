"""A second writer of the message format, written from docs/FORMAT.md alone.

It makes small messages of every suite and shape with fixed salts and keys, so that the reader can
be tried without any other program: for tests only. Run alone, it prints the messages as test
vectors (docs/FORMAT.md section 14) for other readers.
"""

import json
import struct
import sys

sys.dont_write_bytecode = True

import reader as r

DATA_KEY = bytes(range(32))
SALT = bytes(range(0x40, 0x58))
SCOPE = [("tenant", "acme")]
CONTEXT = [("table", "cards"), ("row", "42")]
# Names and lengths of values that make a scope of 1,024 bytes.
LONGEST = [("a", 256), ("b", 256), ("c", 256), ("d", 234)]


def padme(length):
    """Section 7.1."""
    if length < 2:
        return length
    exponent = length.bit_length() - 1
    low = (1 << exponent - exponent.bit_length()) - 1
    return (length + low) & ~low


def pad(plaintext):
    zeros = padme(len(plaintext) + 8) - len(plaintext) - 8
    return plaintext + bytes(zeros) + struct.pack(">Q", len(plaintext))


def seal_body(suite, shape, body_flags, content, data_key=DATA_KEY, salt=SALT):
    key = r.body_key(data_key, suite)
    context = r.context_pairs(CONTEXT)
    bound = r.body_context(suite, shape, body_flags, r.scope_pairs(SCOPE), context)
    if suite == 3:
        gcm_key, commitment = r.xaes_derive(key, salt)
        return salt + commitment + r.AESGCM(gcm_key).encrypt(salt[12:], content, bound)
    chunk_key, base, commitment = r.chunk_derive(key, suite, salt, bound)
    aead = (r.AESGCM if suite == 1 else r.ChaCha20Poly1305)(chunk_key)
    out = salt + commitment
    for index in range(len(content) // r.CHUNK + 1):
        piece = content[index * r.CHUNK : (index + 1) * r.CHUNK]
        out += aead.encrypt(r.chunk_nonce(base, index), piece, None)
    return out


def slot(kind=1, key_id=b"local:00112233#default", binding=1, share=b"", version=b"1", wrapped=None):
    """A descriptor and what stands behind the MAC for it; `share` is index and check value."""
    descriptor = bytes([kind, binding, share[0] if share else 0, 0])
    descriptor += r.u16_field(key_id) + r.u16_field(b"") + share[1:]
    wrapped = bytes(range(104)) if wrapped is None else wrapped
    return descriptor, r.u16_field(version) + r.u16_field(wrapped)


def seal_header(suite, shape, *, body_flags=0, flags=0, message_id=bytes(24), slots=None, **other):
    slots = [slot()] if slots is None else slots
    extensions = other.get("extensions", [(1, r.scope_pairs(SCOPE))])
    encoded = b"".join(struct.pack(">H", kind) + r.u16_field(data) for kind, data in extensions)
    covered = bytes([suite, shape, body_flags, flags, other.get("threshold", 1)])
    covered += bytes([other.get("count", len(slots))]) + other.get("zero", bytes(2))
    covered += struct.pack(">I", other.get("epoch", 0)) + r.data_key_id(DATA_KEY) + message_id
    covered += other.get("share_set", bytes(16)) + r.u16_field(encoded)
    covered += b"".join(r.u16_field(descriptor) for descriptor, _ in slots) + other.get("tail", b"")
    mac = r.header_mac(DATA_KEY, covered, r.scope_pairs(SCOPE))
    rest = covered + mac + b"".join(wrapped for _, wrapped in slots) + other.get("padding", b"")
    return b"\xf6vk\x01" + struct.pack(">II", 12 + len(rest), len(covered)) + rest


def good_messages():
    """(name, fields of a vector): every suite, shape and flag that opens."""
    for suite in (1, 2, 3):
        for length in (0, 8, 16383, 16384, 16385, 40000):
            if suite == 3 and length > 16384:
                continue
            plain = bytes(i * 7 % 251 for i in range(length))
            yield from messages_of(suite, plain)
    padded_header = seal_header(1, r.STREAM, message_id=SALT, padding=bytes(3000))
    body = seal_body(1, r.STREAM, 0, b"padded header")
    yield "stream behind a padded header", {"message": padded_header + body, "plain": b"padded header"}
    yield from messages_with_slots()


def messages_of(suite, plain):
    name = f"suite {suite}, {len(plain)} bytes"
    for flag, content in ((0, plain), (1, pad(plain))):
        tail = name + (", padded" if flag else "")
        body = seal_body(suite, r.RECORD, flag, content)
        shared = seal_header(suite, r.RECORD, body_flags=flag)
        own = seal_header(suite, r.RECORD, body_flags=flag, flags=1, message_id=SALT)
        yield f"shared record, {tail}", {"message": shared + body, "plain": plain}
        yield f"exclusive record, {tail}", {"message": own + body, "plain": plain}
        prefix = b"\xf7\x01" + bytes([suite, flag])
        compact = prefix + bytes(4) + r.data_key_id(DATA_KEY) + body
        yield f"compact record, {tail}", {"message": compact, "plain": plain}
        branch_id = struct.pack(">I", 7) + bytes(range(16))
        derived = r.branch_data_key(DATA_KEY, 7, bytes(range(16)), r.scope_pairs(SCOPE))
        branch = prefix + branch_id + seal_body(suite, r.RECORD, flag, content, derived)
        yield f"branch record, {tail}", {"message": branch, "plain": plain, "branch": True}
        if suite != 3:
            body = seal_body(suite, r.STREAM, flag, content)
            header = seal_header(suite, r.STREAM, body_flags=flag, message_id=SALT)
            yield f"stream, {tail}", {"message": header + body, "plain": plain}
            yield f"detached stream, {tail}", {"header": header, "body": body, "plain": plain}
    if not plain:
        entry = seal_header(suite, r.KEY_ENTRY)
        yield f"key entry, suite {suite}", {"message": entry, "plain": b""}


def messages_with_slots():
    shares = [slot(key_id=b"k%d" % i, share=bytes([i] * 17), wrapped=bytes(122)) for i in (3, 1, 2)]
    many = [slot(kind=0xF0 + i % 16, key_id=b"key %d" % i) for i in range(16)]
    cases = {
        "an unknown slot kind beside ours": {"slots": [slot(), slot(kind=77, key_id="Schlüssel".encode())]},
        "16 slots": {"slots": many},
        "a missing slot beside a filled one": {"slots": [slot(kind=2, version=b"", wrapped=b""), slot()]},
        "2 of 3 shares": {"slots": shares, "threshold": 2, "share_set": b"s" * 16},
        "a passphrase and two public keys": {
            "slots": [slot(kind=7, key_id=b"", binding=2, version=b"")]
            + [slot(kind=k, key_id=bytes(32), binding=2, version=b"") for k in (8, 9)]
        },
        "unknown extensions, stored context, branch": {
            "extensions": [(1, r.scope_pairs(SCOPE)), (2, r.context_pairs(CONTEXT)), (3, bytes(20))]
            + [(4, b""), (0x7FFF, b"later")]
        },
        "no extension, epoch 9": {"extensions": [], "epoch": 9},
        "longest stored scope": {"extensions": [(1, raw_pairs(*((c, "x" * n) for c, n in LONGEST)))]},
        "longest stored context": {"extensions": [(2, raw_pairs(("a", "x" * 6993)))]},
        "most extensions": {"extensions": [(100 + i, b"") for i in range(32)]},
        "longest key id and version": {"slots": [slot(key_id=b"k" * 2048, version=b"v" * 128)]},
    }
    body = seal_body(3, r.RECORD, 0, b"slots")
    for name, fields in cases.items():
        header = seal_header(3, r.RECORD, flags=1, message_id=SALT, **fields)
        yield name, {"message": header + body, "plain": b"slots"}


def bad_messages():
    """(name, fields, class): one rule broken each, everything else right."""
    body = seal_body(3, r.RECORD, 0, b"bad")
    own = {"flags": 1, "message_id": SALT}
    share = [slot(key_id=b"k%d" % i, share=bytes([i] * 17)) for i in (1, 2, 3)]
    shared = {"threshold": 2, "share_set": b"s" * 16, "slots": share}
    scope = r.scope_pairs(SCOPE)
    malformed = {
        "17 slots": {"slots": [slot(key_id=b"%d" % i) for i in range(17)]},
        "no slot": {"slots": [], "padding": bytes(64)},
        "threshold 0": {"threshold": 0},
        "threshold above the slots": {"threshold": 2},
        "twin header flag": {"flags": 3},
        "reserved body flag": {"body_flags": 2},
        "a zero byte set": {"zero": b"\0\1"},
        "share set id without shares": {"share_set": b"s" * 16},
        "exclusive record without message id": {"message_id": bytes(24)},
        "shared record with message id": {"flags": 0},
        "bytes after the last descriptor": {"tail": b"\0"},
        "padding not zero": {"padding": b"\0\0\1"},
        "extensions out of order": {"extensions": [(5, b""), (4, b"")]},
        "an extension twice": {"extensions": [(4, b""), (4, b"")]},
        "extension type 0": {"extensions": [(0, b"")]},
        "33 extensions": {"extensions": [(100 + i, b"") for i in range(33)]},
        "stored scope not canonical": {"extensions": [(1, scope + b"\0")]},
        "stored scope with a bad name": {"extensions": [(1, b"\0\1\0\1T\0\1x")]},
        "stored context with an empty name": {"extensions": [(2, b"\0\1\0\0\0\1x")]},
        "a branch of 19 bytes": {"extensions": [(3, bytes(19))]},
        "slot kind 0": {"slots": [slot(kind=0)]},
        "binding 0": {"slots": [slot(binding=0)]},
        "binding 3": {"slots": [slot(binding=3)]},
        "empty key id": {"slots": [slot(key_id=b""), slot()]},
        "key id with a control character": {"slots": [slot(key_id=b"local:a\x7f#default")]},
        "key id with a C1 control character": {"slots": [slot(key_id="local:a\u0085#k".encode())]},
        "key id not UTF-8": {"slots": [slot(key_id=b"local:\xff#default")]},
        "key id of 2049 bytes": {"slots": [slot(key_id=b"k" * 2049)]},
        "passphrase with a key id": {"slots": [slot(kind=7, key_id=b"k", binding=2)]},
        "public key id of 31 bytes": {"slots": [slot(kind=8, key_id=bytes(31), binding=2)]},
        "two slots of one key": {"slots": [slot(), slot(version=b"2")]},
        "version with a space": {"slots": [slot(version=b"1 2")]},
        "version of 129 bytes": {"slots": [slot(version=b"1" * 129)]},
        "missing slot with a version": {"slots": [slot(kind=2, wrapped=b""), slot()]},
        "all slots missing": {"slots": [slot(version=b"", wrapped=b"")]},
        "share index without shares": {"slots": [slot(share=b"\1")]},
        "descriptor with a tail": {"slots": [slot(share=b"\0tail")]},
        "shares without a share set id": shared | {"share_set": bytes(16)},
        "shares on a shared data key": shared | {"flags": 0, "message_id": bytes(24)},
        "share index 0": shared | {"slots": share[:2] + [slot(key_id=b"k", share=bytes(17))]},
        "a share index twice": shared | {"slots": share[:2] + [slot(key_id=b"k", share=b"\1" * 17)]},
        "share index above the slots": shared | {"slots": share[:2] + [slot(key_id=b"k", share=b"\4" * 17)]},
        "a share missing": shared
        | {"slots": share[:2] + [slot(key_id=b"k", share=b"\3" * 17, version=b"", wrapped=b"")]},
        "passphrase on a shared data key": {
            "slots": [slot(kind=7, key_id=b"", binding=2)],
            "flags": 0,
            "message_id": bytes(24),
        },
    }
    for name, fields in malformed.items():
        yield name, {"message": seal_header(3, r.RECORD, **(own | fields)) + body}, r.MALFORMED
    yield from other_bad_messages(own, body)


def other_bad_messages(own, body):
    for suite in (0, 4, 0xFF):
        yield f"suite {suite}", {"message": seal_header(suite, r.RECORD, **own) + body}, r.UNSUPPORTED
        compact = b"\xf7\x01" + bytes([suite, 0]) + bytes(20) + body
        yield f"compact, suite {suite}", {"message": compact}, r.UNSUPPORTED
    for shape in (0, 4):
        yield f"shape {shape}", {"message": seal_header(3, shape, **own) + body}, r.UNSUPPORTED
    critical = seal_header(3, r.RECORD, **own, extensions=[(0x8000, b"")])
    yield "critical extension", {"message": critical + body}, r.UNSUPPORTED
    yield "stream in suite 3", {"message": seal_header(3, r.STREAM, **own) + body}, r.MALFORMED
    entry = seal_header(3, r.KEY_ENTRY)
    yield "key entry with a body", {"message": entry + body}, r.MALFORMED
    yield "padded key entry", {"message": seal_header(3, r.KEY_ENTRY, body_flags=1)}, r.MALFORMED
    yield "key entry with a message id", {"message": seal_header(3, r.KEY_ENTRY, message_id=SALT)}, r.MALFORMED
    good = seal_header(3, r.RECORD, **own)
    yield "magic", {"message": b"\xf5" + good[1:] + body}, r.MALFORMED
    yield "format version 2", {"message": good[:3] + b"\2" + good[4:] + body}, r.UNSUPPORTED
    yield "empty", {"message": b""}, r.MALFORMED
    long = good[:4] + struct.pack(">I", 65537) + good[8:]
    yield "a header of 65537 bytes", {"message": long + bytes(65537)}, r.MALFORMED
    compact = b"\xf7\x01\x03\x00" + bytes(4)
    yield "compact, reserved flag", {"message": b"\xf7\x01\x03\x02" + bytes(20) + body}, r.MALFORMED
    yield "compact, version 2", {"message": b"\xf7\x02" + bytes(22) + body}, r.UNSUPPORTED
    yield "compact, another id", {"message": compact + bytes(16) + body}, r.KEY_NOT_ALLOWED
    branch = compact[:4] + struct.pack(">I", 1) + bytes(16) + body
    yield "compact, a branch and no branch key", {"message": branch}, r.KEY_NOT_ALLOWED
    other = seal_body(3, r.RECORD, 0, b"other", salt=SALT[::-1])
    yield "body of another message", {"message": good + other}, r.AUTHENTICATION_FAILED
    yield from bad_pairs(own, body)
    yield "header without a body", {"message": good}, r.AUTHENTICATION_FAILED
    for shape, suite in ((r.STREAM, 1), (r.STREAM, 2)):
        header = seal_header(suite, shape, message_id=SALT)
        full = seal_body(suite, shape, 0, bytes(2 * r.CHUNK))
        swapped = full[:56] + full[56 + 16400 : 56 + 32800] + full[56 : 56 + 16400] + full[56 + 32800 :]
        yield f"chunks swapped, suite {suite}", {"header": header, "body": swapped}, r.AUTHENTICATION_FAILED
        cut = {"header": header, "body": full[:-16]}
        yield f"last chunk cut off, suite {suite}", cut, r.AUTHENTICATION_FAILED
        joined = {"header": header + b"\0", "body": full}
        yield f"detached header with a tail, suite {suite}", joined, r.MALFORMED
    for content in (b"short", pad(b"x" * 99)[:-1] + b"\xff", b"x\1" + struct.pack(">Q", 1), b"\0" * 7):
        bad = seal_header(3, r.RECORD, body_flags=1, **own) + seal_body(3, r.RECORD, 1, content)
        yield f"padding {content[-9:].hex()}", {"message": bad}, r.AUTHENTICATION_FAILED


def raw_pairs(*pairs):
    encoded = (r.u16_field(name.encode()) + r.u16_field(value.encode()) for name, value in pairs)
    return struct.pack(">H", len(pairs)) + b"".join(encoded)


def bad_pairs(own, body):
    """Stored scopes (1) and contexts (2) that are not as section 2 says."""
    numbered = [(f"n{i:02}", "v") for i in range(65)]
    cases = {
        "9 pairs": (1, raw_pairs(*numbered[:9])),
        "empty value": (1, raw_pairs(("a", ""))),
        "value of 257 bytes": (1, raw_pairs(("a", "x" * 257))),
        "value with a control character": (1, raw_pairs(("a", "x\ny"))),
        "name of 65 bytes": (1, raw_pairs(("a" * 65, "x"))),
        "over 1024 bytes": (1, raw_pairs(*((c, "x" * 253) for c in "abcd"))),
        "names not ascending": (1, raw_pairs(("b", "x"), ("a", "y"))),
        "a name twice": (1, raw_pairs(("a", "x"), ("a", "y"))),
        "cut off": (1, raw_pairs(("a", "x"))[:-1]),
        "a count without pairs": (1, b"\0\1"),
        "65 pairs": (2, raw_pairs(*numbered)),
        "a name twice in the context": (2, raw_pairs(("a", "x"), ("a", "y"))),
        "name with =": (2, raw_pairs(("a=b", "x"))),
        "name with a control character": (2, raw_pairs(("a\x9f", "x"))),
        "name of 256 bytes": (2, raw_pairs(("a" * 256, "x"))),
        "over 7000 bytes": (2, raw_pairs(("a", "x" * 6994))),
        "not UTF-8": (2, b"\0\1\0\1a\0\1\xff"),
    }
    for name, extension in cases.items():
        header = seal_header(3, r.RECORD, **own, extensions=[extension])
        yield f"stored pairs: {name}", {"message": header + body}, r.MALFORMED


def vectors():
    """All of them as the JSON objects of section 14."""
    good = ((name, fields, "ok") for name, fields in good_messages())
    for name, fields, result in [*good, *bad_messages()]:
        vector = {"name": name, "comment": "written by the second writer"}
        vector["branch_key" if fields.get("branch") else "data_key"] = DATA_KEY.hex()
        vector |= {"scope": dict(SCOPE), "context": dict(CONTEXT)}
        vector |= {k: fields[k].hex() for k in ("message", "header", "body") if k in fields}
        if result == "ok":
            vector["plaintext"] = fields["plain"].hex()
        yield vector | {"result": result}


if __name__ == "__main__":
    json.dump(list(vectors()), sys.stdout, indent=1)
    print()
