"""A second reader of the message format, written from docs/FORMAT.md alone.

It opens messages under a data key given directly (section 14.1): key slots are parsed and not
unwrapped. Section numbers in comments are those of docs/FORMAT.md. Needs the package
`cryptography` for AES-GCM, ChaCha20-Poly1305 and the AES block.
"""

import hashlib
import hmac
import re
import struct
import unicodedata
from dataclasses import dataclass, field

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM, ChaCha20Poly1305

MALFORMED = "malformed"
UNSUPPORTED = "unsupported"
KEY_NOT_ALLOWED = "key_not_allowed"
AUTHENTICATION_FAILED = "authentication_failed"

RECORD, STREAM, KEY_ENTRY = 1, 2, 3
CHUNK, TAG, PROLOGUE = 16384, 16, 56


class Refused(Exception):
    """A message is not opened; `kind` is the failure class of section 1.3."""

    def __init__(self, kind, why):
        super().__init__(f"{kind}: {why}")
        self.kind = kind


def malformed(why):
    return Refused(MALFORMED, why)


def unsupported(why):
    return Refused(UNSUPPORTED, why)


def not_authentic(why):
    # A real reader tells nobody why; this one serves to test.
    return Refused(AUTHENTICATION_FAILED, why)


# Section 2: pairs


def is_text_without_controls(text):
    return not any(unicodedata.category(c) == "Cc" for c in text)


def check_scope(pairs):
    if len(pairs) > 8:
        raise ValueError("a scope has at most 8 pairs")
    for name, value in pairs:
        if not re.fullmatch(r"[a-z][a-z0-9_.\-]{0,63}", name, re.ASCII):
            raise ValueError("bad scope name")
        if not 1 <= len(value.encode()) <= 256 or not is_text_without_controls(value):
            raise ValueError("bad scope value")


def check_context(pairs):
    if len(pairs) > 64:
        raise ValueError("a context has at most 64 pairs")
    for name, _ in pairs:
        if not 1 <= len(name.encode()) <= 255 or "=" in name or not is_text_without_controls(name):
            raise ValueError("bad context name")


def u16_field(data):
    return struct.pack(">H", len(data)) + data


def encode_pairs(pairs, check, limit):
    """The canonical encoding of a list of (name, value); ValueError outside the rules."""
    check(pairs)
    encoded = sorted((name.encode(), value.encode()) for name, value in pairs)
    names = [name for name, _ in encoded]
    if len(set(names)) != len(names):
        raise ValueError("a name is repeated")
    out = struct.pack(">H", len(encoded))
    out += b"".join(u16_field(name) + u16_field(value) for name, value in encoded)
    if len(out) > limit:
        raise ValueError("too long")
    return out


def scope_pairs(pairs):
    return encode_pairs(pairs, check_scope, 1024)


def context_pairs(pairs):
    return encode_pairs(pairs, check_context, 7000)


def decode_pairs(data, encode):
    """The pairs of a canonical encoding; ValueError for any other bytes."""
    fields = Fields(data)
    try:
        pairs = []
        for _ in range(fields.u16()):
            name = fields.field().decode("utf-8")
            pairs.append((name, fields.field().decode("utf-8")))
    except Refused as short:
        raise ValueError("cut off") from short
    if encode(pairs) != data:
        raise ValueError("not canonical")
    return pairs


# Section 3: derivations


def label(name):
    return b"vaultkit.v1/" + name.encode() + b"\0"


def sha512_mac(key, data):
    return hmac.new(key, data, hashlib.sha512).digest()


def expand(key, info, length):
    return sha512_mac(key, info + b"\x01")[:length]


def body_key(data_key, suite):
    return expand(data_key, label("body") + bytes([suite]), 32)


def data_key_id(data_key):
    return expand(data_key, label("key-id"), 16)


def body_context(suite, shape, body_flags, scope, context):
    return label("body-context") + bytes([suite, shape, body_flags]) + scope + context


def header_mac(data_key, covered, scope):
    head_key = expand(data_key, label("header"), 64)
    length = struct.pack(">I", len(covered))
    return sha512_mac(head_key, label("header-mac") + length + covered + scope)[:32]


def branch_data_key(branch_key, version, identifier, scope):
    fields = struct.pack(">I", version) + identifier + scope
    return expand(branch_key, label("branch-data-key") + fields, 32)


# Sections 4 to 6: the header


class Fields:
    """Takes fields off the front of `data`; too little is malformed."""

    def __init__(self, data):
        self.data = data
        self.at = 0

    def take(self, length):
        if length > len(self.data) - self.at:
            raise malformed("a field is longer than what holds it")
        self.at += length
        return self.data[self.at - length : self.at]

    def u8(self):
        return self.take(1)[0]

    def u16(self):
        return struct.unpack(">H", self.take(2))[0]

    def u32(self):
        return struct.unpack(">I", self.take(4))[0]

    def field(self):
        return self.take(self.u16())

    def rest(self):
        return self.take(len(self.data) - self.at)

    def at_end(self):
        return self.at == len(self.data)


@dataclass
class Slot:
    kind: int
    binding: int
    share_index: int
    key_id: bytes
    parameters: bytes
    share_check: bytes
    descriptor: bytes
    version: bytes = b""
    wrapped: bytes = b""


@dataclass
class Header:
    length: int
    covered: bytes
    mac: bytes = b""
    suite: int = 0
    shape: int = 0
    body_flags: int = 0
    exclusive: bool = False
    threshold: int = 0
    epoch: int = 0
    key_id: bytes = b""
    message_id: bytes = b""
    share_set: bytes = b""
    extensions: list = field(default_factory=list)
    slots: list = field(default_factory=list)
    # Offsets of the slots' versions and wrapped bytes: the part no data key vouches for (6.1).
    uncovered: range = range(0)


def parse_header(data):
    """Sections 4 and 5, in their order."""
    if data[:4] != b"\xf6vk\x01":
        if len(data) >= 4 and data[:3] == b"\xf6vk":
            raise unsupported("another format version")
        raise malformed("not a message, or cut off")
    if len(data) < 12:
        raise malformed("cut off inside the prefix")
    length, covered_length = struct.unpack(">II", data[4:12])
    if length > 65536 or covered_length < 81 or length < 48 or covered_length > length - 48:
        raise malformed("lengths out of range")
    if len(data) < length:
        raise malformed("cut off inside the header")
    fields = Fields(data[12:length])
    header = Header(length=length, covered=fields.take(covered_length))
    header.mac = fields.take(32)
    parse_covered(header)
    start = 12 + fields.at
    for slot in header.slots:
        parse_wrapped(fields, slot)
    header.uncovered = range(start, 12 + fields.at)
    if any(fields.rest()):
        raise malformed("padding is not zero")
    check_fields_together(header)
    return header


def parse_covered(header):
    """Section 5.1."""
    fields = Fields(header.covered)
    header.suite, header.shape = fields.u8(), fields.u8()
    header.body_flags, header_flags = fields.u8(), fields.u8()
    header.threshold, count = fields.u8(), fields.u8()
    zero = fields.take(2)
    if header.suite not in (1, 2, 3):
        raise unsupported("unknown suite")
    if header.shape not in (RECORD, STREAM, KEY_ENTRY):
        raise unsupported("unknown shape")
    if header.body_flags & 0xFE or header_flags & 0xFE or any(zero):
        raise malformed("a reserved bit is set")
    if not 1 <= count <= 16 or not 1 <= header.threshold <= count:
        raise malformed("number of slots or threshold out of range")
    header.exclusive = header_flags == 1
    header.epoch = fields.u32()
    header.key_id = fields.take(16)
    header.message_id = fields.take(24)
    header.share_set = fields.take(16)
    header.extensions = parse_extensions(fields.field())
    for _ in range(count):
        header.slots.append(parse_descriptor(fields.field(), header.threshold > 1))
    if not fields.at_end():
        raise malformed("bytes after the last descriptor")


def parse_extensions(data):
    """Section 5.3."""
    fields = Fields(data)
    found = []
    while not fields.at_end():
        kind, content = fields.u16(), fields.field()
        if kind == 0 or (found and kind <= found[-1][0]) or len(found) == 32:
            raise malformed("extensions out of order, type 0, or too many")
        if kind >= 0x8000:
            raise unsupported("unknown critical extension")
        try:
            if kind == 1:
                decode_pairs(content, scope_pairs)
            elif kind == 2:
                decode_pairs(content, context_pairs)
            elif kind == 3 and len(content) != 20:
                raise ValueError("a branch has 20 bytes")
        except ValueError as reason:
            raise malformed(f"extension {kind}: {reason}") from reason
        found.append((kind, content))
    return found


def parse_descriptor(data, has_shares):
    """Section 5.4."""
    fields = Fields(data)
    kind, binding, share_index, zero = fields.u8(), fields.u8(), fields.u8(), fields.u8()
    if kind == 0 or binding not in (1, 2) or zero != 0 or (share_index != 0) != has_shares:
        raise malformed("a descriptor's first four bytes")
    key_id = fields.field()
    check_key_id(kind, key_id)
    parameters = fields.field()
    share_check = fields.take(16) if has_shares else b""
    if not fields.at_end():
        raise malformed("bytes after a descriptor")
    return Slot(kind, binding, share_index, key_id, parameters, share_check, data)


def check_key_id(kind, key_id):
    if kind == 7:
        good = key_id == b""
    elif kind in (8, 9):
        good = len(key_id) == 32
    else:
        try:
            good = 1 <= len(key_id) <= 2048 and is_text_without_controls(key_id.decode("utf-8"))
        except UnicodeDecodeError:
            good = False
    if not good:
        raise malformed("a slot's key id")


def parse_wrapped(fields, slot):
    """Section 6.1."""
    slot.version, slot.wrapped = fields.field(), fields.field()
    if not re.fullmatch(rb"[A-Za-z0-9._:/+=\-]{0,128}", slot.version):
        raise malformed("a slot's version")
    if not slot.wrapped and slot.version:
        raise malformed("a missing slot has a version")


def check_fields_together(header):
    """Section 5.5, rule by rule."""
    shares = header.threshold > 1
    if any(header.share_set) != shares:
        raise malformed("share set id")
    if header.suite == 3 and header.shape == STREAM:
        raise malformed("a stream in suite 3")
    if header.shape == KEY_ENTRY and header.body_flags:
        raise malformed("a padded key entry")
    names_body = header.shape == STREAM or (header.shape == RECORD and header.exclusive)
    if any(header.message_id) != names_body:
        raise malformed("message id")
    if (shares or any(slot.kind in (7, 8, 9) for slot in header.slots)) and not header.exclusive:
        raise malformed("needs EXCLUSIVE")
    filled = sum(1 for slot in header.slots if slot.wrapped)
    if filled == 0 or (shares and filled != len(header.slots)):
        raise malformed("a slot is missing")
    if len({(slot.kind, slot.key_id) for slot in header.slots}) != len(header.slots):
        raise malformed("two slots of one key")
    indices = {slot.share_index for slot in header.slots}
    if shares and (len(indices) != len(header.slots) or max(indices) > len(header.slots)):
        raise malformed("share indices")


# Section 7: bodies


def xor(a, b):
    return bytes(x ^ y for x, y in zip(a, b, strict=True))


def xaes_derive(key, nonce):
    """Section 7.3: the AES-256-GCM key and the commitment."""
    block = Cipher(algorithms.AES(key), modes.ECB()).encryptor().update
    doubled = int.from_bytes(block(bytes(16)), "big") << 1
    if doubled >> 128:
        doubled = (doubled & (1 << 128) - 1) ^ 0x87
    subkey = doubled.to_bytes(16, "big")
    gcm_key = b"".join(
        block(xor(bytes([0, i, 0x58, 0]) + nonce[:12], subkey)) for i in (1, 2)
    )
    x1 = block(b"XCMT" + nonce[:12])
    commitment = b"".join(
        block(xor(xor(x1, nonce[12:] + bytes([0, 1, 0, j])), subkey)) for j in (1, 2)
    )
    return gcm_key, commitment


def chunk_derive(key, suite, salt, context):
    """Section 7.2: key, base nonce, commitment."""
    aead = {1: b"AEAD_AES_256_GCM", 2: b"AEAD_CHACHA20_POLY1305"}[suite]
    info = b"c2sp.org/chunked-encryption@v1+" + aead + b"\0" + salt + context
    first = sha512_mac(key, info + b"\x01")
    okm = first + sha512_mac(key, first + info + b"\x02")
    return okm[:32], okm[32:44], okm[44:76]


def chunk_nonce(base, index):
    return xor(base, index.to_bytes(12, "big"))


def open_body(data_key, suite, shape, body_flags, scope, context, body):
    if len(body) < PROLOGUE + TAG:
        raise not_authentic("body cut off")
    key = body_key(data_key, suite)
    bound = body_context(suite, shape, body_flags, scope, context)
    first, commitment, rest = body[:24], body[24:56], body[56:]
    try:
        if suite == 3:
            gcm_key, expected = xaes_derive(key, first)
            check_commitment(commitment, expected)
            content = AESGCM(gcm_key).decrypt(first[12:], rest, bound)
        else:
            chunk_key, base, expected = chunk_derive(key, suite, first, bound)
            check_commitment(commitment, expected)
            content = open_chunks((AESGCM if suite == 1 else ChaCha20Poly1305)(chunk_key), base, rest)
    except InvalidTag as failure:
        raise not_authentic("tag") from failure
    return strip_padding(content) if body_flags & 1 else content


def check_commitment(stored, expected):
    if not hmac.compare_digest(stored, expected):
        raise not_authentic("commitment")


def open_chunks(aead, base_nonce, stored):
    full, last = divmod(len(stored), CHUNK + TAG)
    if last < TAG or full >= 1 << 38:
        raise not_authentic("a length that no body has")
    content = bytearray()
    for index in range(full + 1):
        start = index * (CHUNK + TAG)
        piece = stored[start : start + CHUNK + TAG]
        content += aead.decrypt(chunk_nonce(base_nonce, index), piece, None)
    return bytes(content)


def strip_padding(content):
    """Section 7.1."""
    if len(content) < 8:
        raise not_authentic("no room for the padding's length")
    length = int.from_bytes(content[-8:], "big")
    if length > len(content) - 8 or any(content[length:-8]):
        raise not_authentic("padding")
    return content[:length]


# Sections 8 and 9: shapes, opening


def verify_header(header, data_key, scope):
    """Step 6."""
    same_id = hmac.compare_digest(header.key_id, data_key_id(data_key))
    same_mac = hmac.compare_digest(header.mac, header_mac(data_key, header.covered, scope))
    if not same_id or not same_mac:
        raise not_authentic("header")


def open_with_header(header, body, data_key, scope, context):
    if any(header.message_id) and header.message_id != body[:24]:
        raise not_authentic("header and body do not belong together")
    verify_header(header, data_key, scope)
    return open_body(
        data_key, header.suite, header.shape, header.body_flags, scope, context, body
    )


def open_compact(data, scope, context, data_key=None, branch_key=None):
    """Section 8.2."""
    if len(data) >= 2 and data[1] != 1:
        raise unsupported("another format version")
    if len(data) < 24:
        raise malformed("cut off inside the prefix")
    suite, body_flags = data[2], data[3]
    version, identifier = struct.unpack(">I", data[4:8])[0], data[8:24]
    if suite not in (1, 2, 3):
        raise unsupported("unknown suite")
    if body_flags & 0xFE:
        raise malformed("a reserved bit is set")
    if version == 0:
        if data_key is None or not hmac.compare_digest(identifier, data_key_id(data_key)):
            raise Refused(KEY_NOT_ALLOWED, "another data key")
    elif branch_key is not None:
        data_key = branch_data_key(branch_key, version, identifier, scope)
    else:
        raise Refused(KEY_NOT_ALLOWED, "no branch key at hand")
    return open_body(data_key, suite, RECORD, body_flags, scope, context, data[24:])


def open_message(message, scope, context, data_key=None, branch_key=None):
    """Record, compact record, inline stream or key entry. `scope` and `context` are lists of pairs."""
    scope, context = scope_pairs(scope), context_pairs(context)
    if message[:1] == b"\xf7":
        return open_compact(message, scope, context, data_key, branch_key)
    header = parse_header(message)
    body = message[header.length :]
    if header.shape == KEY_ENTRY:
        if body:
            raise malformed("bytes after a key entry")
        verify_header(header, data_key, scope)
        return b""
    return open_with_header(header, body, data_key, scope, context)


def open_detached(header_object, body, scope, context, data_key):
    """A stream in two objects (section 8.3)."""
    scope, context = scope_pairs(scope), context_pairs(context)
    header = parse_header(header_object)
    if header.length != len(header_object):
        raise malformed("bytes after a detached header")
    if header.shape != STREAM:
        raise ValueError("only a stream has a detached header")
    return open_with_header(header, body, data_key, scope, context)
