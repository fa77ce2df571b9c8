"""Opens key slots, written from docs/FORMAT.md alone: passphrases, public keys, branch keys, shares.

A ring is what a reader holds: keys in order of preference and the key entries of its store, in the
form of section 14.1. HPKE (RFC 9180) and the field of the shares are written out here. Section
numbers in comments are those of docs/FORMAT.md.
"""

import functools
import hashlib
import hmac
import struct

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

import reader as r

KEY_UNAVAILABLE = "key_unavailable"
BRANCH, PASSPHRASE, HPKE, RSA = 6, 7, 8, 9
DATA_KEY_ROLE, SHARE_ROLE, BRANCH_ROLE = 1, 2, 3
HPKE_SUITE = struct.pack(">HHH", 0x0020, 1, 2)
OAEP = padding.OAEP(mgf=padding.MGF1(hashes.SHA256()), algorithm=hashes.SHA256(), label=None)


def kms_binding(role, scope):
    """S of section 3."""
    return r.label("kms") + bytes([role]) + scope


def slot_binding(role, scope, header, descriptor):
    """What sections 6.5 and 6.6 bind."""
    bound = kms_binding(role, scope) + r.label("slot") + descriptor
    return bound + header.key_id + header.message_id


def role_of(header):
    if header.threshold > 1:
        return SHARE_ROLE
    branch = header.shape == r.KEY_ENTRY and any(kind == 3 for kind, _ in header.extensions)
    return BRANCH_ROLE if branch else DATA_KEY_ROLE


def branch_name(scope):
    return hashlib.sha512(r.label("branch-name") + scope).digest()[:16]


def wrap_key(branch_key):
    """K_wrap of section 3."""
    return r.expand(branch_key, r.label("branch-wrap"), 32)


def share_check(share):
    return hashlib.sha512(r.label("share") + share).digest()[:16]


# Section 6.4: KC-XAES-256-GCM, whole


def open_xaes(key, bound, wrapped):
    if len(wrapped) < 72:
        raise r.not_authentic("wrapped bytes cut off")
    nonce = wrapped[:24]
    gcm_key, commitment = r.xaes_derive(key, nonce)
    r.check_commitment(wrapped[24:56], commitment)
    return r.AESGCM(gcm_key).decrypt(nonce[12:], wrapped[56:], bound)


# Section 6.5: passphrases


def stretch(passphrase, parameters):
    """K, or refused before anything is allocated."""
    if len(parameters) != 25:
        raise r.not_authentic("cost parameters")
    memory, passes, lanes = struct.unpack(">IIB", parameters[:9])
    if not (8 * lanes <= memory <= 1 << 20 and 1 <= passes <= 16 and 1 <= lanes <= 16):
        raise r.not_authentic("cost out of range")
    kdf = Argon2id(
        salt=parameters[9:], length=32, iterations=passes, lanes=lanes, memory_cost=memory
    )
    return kdf.derive(passphrase)


# Section 6.6: HPKE, RFC 9180


def extract(suite, salt, name, material):
    return hmac.new(salt, b"HPKE-v1" + suite + name + material, hashlib.sha256).digest()


def stretch_labelled(suite, key, name, info, length):
    """LabeledExpand of RFC 9180, section 4; at most one block of HKDF-SHA256."""
    info = struct.pack(">H", length) + b"HPKE-v1" + suite + name + info
    return hmac.new(key, info + b"\x01", hashlib.sha256).digest()[:length]


def hpke_keys(secret, enc, public, info):
    """Sections 4.1 (ExtractAndExpand) and 5.1 (KeySchedule, base mode): key and nonce."""
    kem = b"KEM" + HPKE_SUITE[:2]
    prk = extract(kem, b"", b"eae_prk", secret)
    shared = stretch_labelled(kem, prk, b"shared_secret", enc + public, 32)
    suite = b"HPKE" + HPKE_SUITE
    context = b"\0" + extract(suite, b"", b"psk_id_hash", b"")
    context += extract(suite, b"", b"info_hash", info)
    prk = extract(suite, shared, b"secret", b"")
    key = stretch_labelled(suite, prk, b"key", context, 32)
    return key, stretch_labelled(suite, prk, b"base_nonce", context, 12)


def x25519(private, public):
    key = X25519PrivateKey.from_private_bytes(private)
    try:
        return key.exchange(X25519PublicKey.from_public_bytes(public))
    except ValueError as low_order:
        raise r.not_authentic("a point of low order") from low_order


def public_of(private):
    return X25519PrivateKey.from_private_bytes(private).public_key().public_bytes_raw()


def open_hpke(private, info, bound, wrapped):
    enc, ciphertext = wrapped[:32], wrapped[32:]
    if len(enc) < 32 or len(ciphertext) < 16:
        raise r.not_authentic("wrapped bytes cut off")
    key, nonce = hpke_keys(x25519(private, enc), enc, public_of(private), info)
    return r.AESGCM(key).decrypt(nonce, ciphertext, bound)


# Section 6.7: RSA


@functools.lru_cache
def rsa_private(der):
    # Checked once: OpenSSL tests its primes.
    return serialization.load_der_private_key(der, None)


def rsa_key_id(private):
    spki = serialization.PublicFormat.SubjectPublicKeyInfo
    der = private.public_key().public_bytes(serialization.Encoding.DER, spki)
    return hashlib.sha256(der).digest()


# Section 6.8: shares


def times(a, b):
    """In GF(2^8) with x^8 + x^4 + x^3 + x + 1. Not constant time: this one serves to test."""
    product = 0
    while b:
        if b & 1:
            product ^= a
        a = a << 1 ^ (0x11B if a & 0x80 else 0)
        b >>= 1
    return product


def inverse(a):
    """a^254."""
    product = 1
    for _ in range(254):
        product = times(product, a)
    return product


def combine(shares):
    """The value at 0 of the polynomials through the shares (Lagrange)."""
    out = bytearray(32)
    for index, y in shares:
        weight = 1
        for other, _ in shares:
            if other != index:
                weight = times(weight, times(other, inverse(other ^ index)))
        for place in range(32):
            out[place] ^= times(weight, y[place])
    return bytes(out)


def is_good_share(payload, header, slot):
    head = header.share_set + bytes([header.threshold, slot.share_index])
    return (
        len(payload) == 50
        and hmac.compare_digest(payload[:18], head)
        and hmac.compare_digest(share_check(payload), slot.share_check)
    )


# Section 9, steps 4 to 6


class Ring:
    """Keys in order of preference, and key entries."""

    def __init__(self, keys, entries=()):
        self.keys = [next(iter(key.items())) for key in keys]
        self.entries = [bytes.fromhex(entry) for entry in entries]

    def matches(self, key, slot):
        kind, value = key
        if kind == "passphrase":
            return slot.kind == PASSPHRASE and slot.binding == 2
        if kind == "x25519":
            own = hashlib.sha256(public_of(bytes.fromhex(value))).digest()
            same = slot.key_id == own and slot.parameters == HPKE_SUITE
            return slot.kind == HPKE and slot.binding == 2 and same
        if kind == "rsa":
            own = rsa_key_id(rsa_private(bytes.fromhex(value)))
            same = slot.key_id == own and not slot.parameters
            return slot.kind == RSA and slot.binding == 2 and same
        if kind == "branch":
            same = slot.key_id == value.encode() and not slot.parameters
            return slot.kind == BRANCH and slot.binding == 1 and same
        raise ValueError(f"a key of another sort: {kind}")

    def payload(self, key, slot, header, scope):
        kind, value = key
        info = kms_binding(role_of(header), scope)
        bound = slot_binding(role_of(header), scope, header, slot.descriptor)
        try:
            if kind == "passphrase":
                return open_xaes(stretch(value.encode(), slot.parameters), bound, slot.wrapped)
            if kind == "x25519":
                return open_hpke(bytes.fromhex(value), info, bound, slot.wrapped)
            if kind == "rsa":
                return rsa_private(bytes.fromhex(value)).decrypt(slot.wrapped, OAEP)
            version = int(slot.version)
            branch = self.branch_key(bytes.fromhex(value), version)
            return open_xaes(wrap_key(branch), info + struct.pack(">I", version), slot.wrapped)
        except (InvalidTag, ValueError) as failure:
            raise r.not_authentic("a slot") from failure

    def branch_key(self, name, version):
        """From the key entry of that branch and version (section 8.4)."""
        for entry in self.entries:
            header = r.parse_header(entry)
            extensions = dict(header.extensions)
            if extensions.get(3) == name + struct.pack(">I", version):
                return self.unlock(header, extensions[1])
        raise r.Refused(KEY_UNAVAILABLE, "no such branch in the store")

    def unlock(self, header, scope):
        """The data key (of a branch's entry: the branch key), verified."""
        matching = [
            (key, slot) for key in self.keys for slot in header.slots if self.matches(key, slot)
        ]
        if len({slot.key_id for _, slot in matching}) < header.threshold:
            raise r.Refused(r.KEY_NOT_ALLOWED, "no slot is for these keys")
        failure, shares = r.AUTHENTICATION_FAILED, {}
        for key, slot in matching:
            if not slot.wrapped:
                failure = KEY_UNAVAILABLE
                continue
            try:
                payload = self.payload(key, slot, header, scope)
                if header.threshold > 1:
                    # Whatever else is in the slot, were it the data key itself, is no share.
                    if not is_good_share(payload, header, slot):
                        continue
                    shares[slot.share_index] = payload[18:]
                    if len(shares) < header.threshold:
                        continue
                    payload = combine(list(shares.items()))
                if len(payload) == 32:
                    r.verify_header(header, payload, scope)
                    return payload
            except r.Refused as refusal:
                if refusal.kind == KEY_UNAVAILABLE:
                    failure = KEY_UNAVAILABLE
        raise r.Refused(failure, "no slot opens")


def open_message(message, scope, context, ring):
    """A record, inline stream, key entry or compact record under a branch key."""
    scope, context = r.scope_pairs(scope), r.context_pairs(context)
    if message[:1] == b"\xf7":
        version = struct.unpack(">I", message[4:8])[0] if len(message) >= 24 else 0
        branch = ring.branch_key(branch_name(scope), version) if version else None
        return r.open_compact(message, scope, context, branch_key=branch)
    header = r.parse_header(message)
    body = message[header.length :]
    if header.shape == r.KEY_ENTRY:
        if body:
            raise r.malformed("bytes after a key entry")
        ring.unlock(header, scope)
        return b""
    if any(header.message_id) and header.message_id != body[:24]:
        raise r.not_authentic("header and body do not belong together")
    return r.open_with_header(header, body, ring.unlock(header, scope), scope, context)
