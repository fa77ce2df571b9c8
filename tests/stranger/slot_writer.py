"""Writes messages with key slots, from docs/FORMAT.md alone: the test vectors of stranger.json.

Nonces, salts and ephemeral keys are fixed, so that every run gives the same bytes: for tests only.
Run alone, it prints the vectors.
"""

import hashlib
import json
import pathlib
import struct
import sys

sys.dont_write_bytecode = True

import reader as r
import slots as s
import writer as w

PASSWORD = "correct horse battery staple"
PRIVATE, OTHER_PRIVATE, EPHEMERAL = (bytes([n]) * 32 for n in (0x11, 0x22, 0x33))
SET = b"\x5e" * 16
BRANCH_KEY, ROOT_KEY = b"\xb1" * 32, b"\xb0" * 32
ROOT_SCOPE = [("service", "orders")]
CHEAP = (64, 1, 1)
RSA_FILE = "../../crates/vault-envelope/examples/vectors/rsa_private.hex"


def rsa_der():
    path = pathlib.Path(__file__).parent / RSA_FILE
    return bytes.fromhex("".join(path.read_text(encoding="ascii").split()))


RSA_DER = rsa_der()


class Facts:
    """What slots are bound to; `threshold` > 1 makes them shares."""

    def __init__(self, threshold=1, shape=r.RECORD, scope=None, branch=False, key=w.DATA_KEY):
        self.key_id = r.data_key_id(key)
        self.message_id = bytes(24) if shape == r.KEY_ENTRY else w.SALT
        self.role = s.SHARE_ROLE if threshold > 1 else s.BRANCH_ROLE if branch else s.DATA_KEY_ROLE
        self.scope = r.scope_pairs(w.SCOPE if scope is None else scope)

    def info(self):
        return s.kms_binding(self.role, self.scope)


def descriptor(kind, binding, key_id, parameters, share):
    out = bytes([kind, binding, share[17] if len(share) == 50 else 0, 0])
    out += r.u16_field(key_id) + r.u16_field(parameters)
    return out + (s.share_check(share) if len(share) == 50 else b"")


def seal_xaes(key, bound, payload):
    nonce = hashlib.sha256(b"nonce" + key + bound).digest()[:24]
    gcm_key, commitment = r.xaes_derive(key, nonce)
    return nonce + commitment + r.AESGCM(gcm_key).encrypt(nonce[12:], payload, bound)


def finished(desc, wrapped, version=b""):
    return desc, r.u16_field(version) + r.u16_field(wrapped)


def passphrase(payload, facts, cost=CHEAP, text=PASSWORD, claimed=None):
    parameters = struct.pack(">IIB", *cost) + b"\x5a" * 16
    stated = parameters if claimed is None else claimed
    desc = descriptor(s.PASSPHRASE, 2, b"", stated, payload)
    bound = s.slot_binding(facts.role, facts.scope, facts, desc)
    return finished(desc, seal_xaes(s.stretch(text.encode(), parameters), bound, payload))


def hpke(payload, facts, private=PRIVATE):
    public = s.public_of(private)
    desc = descriptor(s.HPKE, 2, hashlib.sha256(public).digest(), s.HPKE_SUITE, payload)
    enc = s.public_of(EPHEMERAL)
    key, nonce = s.hpke_keys(s.x25519(EPHEMERAL, public), enc, public, facts.info())
    bound = s.slot_binding(facts.role, facts.scope, facts, desc)
    return finished(desc, enc + r.AESGCM(key).encrypt(nonce, payload, bound))


def mgf1(seed, length):
    blocks = (hashlib.sha256(seed + struct.pack(">I", i)).digest() for i in range(length // 32 + 1))
    return b"".join(blocks)[:length]


def rsa(payload, facts):
    """RFC 8017, section 7.1.1, with a fixed seed."""
    del facts  # nothing else is bound
    private = s.rsa_private(RSA_DER)
    numbers = private.public_key().public_numbers()
    length = private.key_size // 8
    block = hashlib.sha256(b"").digest() + bytes(length - len(payload) - 66) + b"\1" + payload
    seed = hashlib.sha256(b"seed" + payload).digest()
    block = r.xor(block, mgf1(seed, len(block)))
    seed = r.xor(seed, mgf1(block, 32))
    number = int.from_bytes(b"\0" + seed + block, "big")
    wrapped = pow(number, numbers.e, numbers.n).to_bytes(length, "big")
    return finished(descriptor(s.RSA, 2, s.rsa_key_id(private), b"", payload), wrapped)


def under_branch(payload, facts, version, branch_key=ROOT_KEY, scope=None):
    """Kind 6."""
    name = s.branch_name(r.scope_pairs(ROOT_SCOPE if scope is None else scope)).hex().encode()
    bound = facts.info() + struct.pack(">I", version)
    wrapped = seal_xaes(s.wrap_key(branch_key), bound, payload)
    return finished(descriptor(s.BRANCH, 1, name, b"", payload), wrapped, b"%d" % version)


def deal(threshold, count, secret=w.DATA_KEY, share_set=SET):
    """Section 6.8."""
    out = []
    for index in range(1, count + 1):
        ys = bytearray()
        for place, y in enumerate(secret):
            power = index
            for degree in range(1, threshold):
                coefficient = hashlib.sha256(b"c%d/%d" % (degree, place) + share_set).digest()[0]
                y ^= s.times(coefficient, power)
                power = s.times(power, index)
            ys.append(y)
        out.append(share_set + bytes([threshold, index]) + bytes(ys))
    return out


def entry(facts, slots, scope, name, version, key):
    """A branch key's entry (section 8.4)."""
    extensions = [(1, facts.scope), (3, name + struct.pack(">I", version))]
    encoded = b"".join(struct.pack(">H", kind) + r.u16_field(data) for kind, data in extensions)
    exclusive = any(desc[0] in (7, 8, 9) for desc, _ in slots)
    covered = bytes([3, r.KEY_ENTRY, 0, exclusive, 1, len(slots), 0, 0]) + bytes(4)
    covered += r.data_key_id(key) + bytes(24) + bytes(16) + r.u16_field(encoded)
    covered += b"".join(r.u16_field(desc) for desc, _ in slots)
    rest = covered + r.header_mac(key, covered, r.scope_pairs(scope))
    rest += b"".join(wrapped for _, wrapped in slots)
    return b"\xf6vk\x01" + struct.pack(">II", 12 + len(rest), len(covered)) + rest


def branch_entries():
    """The root's entry for a public key, and under the root's K_wrap that of the scope's branch."""
    root = Facts(shape=r.KEY_ENTRY, scope=ROOT_SCOPE, branch=True, key=ROOT_KEY)
    name = s.branch_name(root.scope)
    yield entry(root, [hpke(ROOT_KEY, root)], ROOT_SCOPE, name, 3, ROOT_KEY)
    own = Facts(shape=r.KEY_ENTRY, branch=True, key=BRANCH_KEY)
    slot = under_branch(BRANCH_KEY, own, 3)
    yield entry(own, [slot], w.SCOPE, s.branch_name(own.scope), 7, BRANCH_KEY)


def sealed(slots, threshold=1, **other):
    fields = {"threshold": threshold, "flags": 1, "message_id": w.SALT} | other
    if threshold > 1:
        fields.setdefault("share_set", SET)
    header = w.seal_header(3, r.RECORD, slots=slots, **fields)
    return header + w.seal_body(3, r.RECORD, 0, b"opened")


PASS_KEY, X_KEY = {"passphrase": PASSWORD}, {"x25519": PRIVATE.hex()}
OTHER_X_KEY, RSA_KEY = {"x25519": OTHER_PRIVATE.hex()}, {"rsa": RSA_DER.hex()}
ALL = [PASS_KEY, X_KEY, OTHER_X_KEY, RSA_KEY]


def good():
    one, shared = Facts(), Facts(threshold=2)
    dk = w.DATA_KEY
    yield "a passphrase", [PASS_KEY], sealed([passphrase(dk, one)])
    cost = (65536, 3, 4)
    yield "a passphrase at the default cost", [PASS_KEY], sealed([passphrase(dk, one, cost)])
    yield "a passphrase beyond ASCII", [{"passphrase": "pässwörd \U0001f511"}], sealed(
        [passphrase(dk, one, text="pässwörd \U0001f511")]
    )
    yield "an X25519 key", [X_KEY], sealed([hpke(dk, one)])
    yield "an RSA key", [RSA_KEY], sealed([rsa(dk, one)])
    everybody = [passphrase(dk, one), hpke(dk, one), hpke(dk, one, OTHER_PRIVATE), rsa(dk, one)]
    for number, key in enumerate(ALL):
        yield f"four slots, the reader holds the key of slot {number}", [key], sealed(everybody)
    unknown = hpke(dk, one)[0].replace(s.HPKE_SUITE, struct.pack(">HHH", 0x11, 1, 2))
    skipped = finished(unknown, b"wrapped")
    other = [skipped, passphrase(dk, one)]
    yield "an HPKE slot with other identifiers is skipped", [X_KEY, PASS_KEY], sealed(other)
    broken = hpke(dk, one)[0], r.u16_field(b"") + r.u16_field(bytes(80))
    beside = [broken, passphrase(dk, one)]
    yield "a slot that fails and one that opens", [X_KEY, PASS_KEY], sealed(beside)
    a, b, c = deal(2, 3)
    three = [passphrase(a, shared), hpke(b, shared), rsa(c, shared)]
    for pair in ((PASS_KEY, X_KEY), (PASS_KEY, RSA_KEY), (RSA_KEY, X_KEY)):
        names = " and ".join(next(iter(key)) for key in pair)
        yield f"two of three shares: {names}", list(pair), sealed(three, 2)
    yield "two of three shares, the reader has all", ALL, sealed(three, 2)
    a, b, c = deal(3, 3)
    three = [rsa(c, shared), hpke(b, shared), passphrase(a, shared)]
    yield "three of three shares, in another order", ALL, sealed(three, 3)


def bad():
    """(name, keys, message, class): one thing wrong, the MAC right."""
    one, shared = Facts(), Facts(threshold=2)
    dk, failed = w.DATA_KEY, r.AUTHENTICATION_FAILED
    wrong = [{"passphrase": PASSWORD + " "}]
    yield "another passphrase", wrong, sealed([passphrase(dk, one)]), failed
    yield "another X25519 key", [OTHER_X_KEY], sealed([hpke(dk, one)]), r.KEY_NOT_ALLOWED
    yield "a passphrase for an X25519 slot", [PASS_KEY], sealed([hpke(dk, one)]), r.KEY_NOT_ALLOWED
    for name, seal, key in (("passphrase", passphrase, PASS_KEY), ("X25519", hpke, X_KEY)):
        moved = Facts()
        moved.message_id = bytes(24)
        yield f"{name}: a slot of another message", [key], sealed([seal(dk, moved)]), failed
        moved = Facts(scope=[("tenant", "zenith")])
        yield f"{name}: a slot of another scope", [key], sealed([seal(dk, moved)]), failed
        moved = Facts(key=bytes(32))
        yield f"{name}: a slot of another data key's header", [key], sealed([seal(dk, moved)]), failed
        moved = Facts(branch=True)
        yield f"{name}: a slot of another role", [key], sealed([seal(dk, moved)]), failed
        yield f"{name}: another data key in the slot", [key], sealed([seal(bytes(32), one)]), failed
        yield f"{name}: a payload of 31 bytes", [key], sealed([seal(dk[:31], one)]), failed
    yield "RSA: another data key in the slot", [RSA_KEY], sealed([rsa(bytes(32), one)]), failed
    yield "RSA: a payload of 33 bytes", [RSA_KEY], sealed([rsa(dk + b"\0", one)]), failed
    for name, cost in {
        "64 GiB of memory": (1 << 26, 3, 4),
        "1 GiB and 1 KiB of memory": ((1 << 20) + 1, 3, 4),
        "17 passes": (64, 17, 1),
        "17 lanes": (1024, 1, 17),
        "2^32 - 1 of everything": (0xFFFFFFFF, 0xFFFFFFFF, 255),
        "no memory": (0, 1, 1),
        "under 8 KiB a lane": (15, 1, 2),
        "no pass": (64, 0, 1),
        "no lane": (64, 1, 0),
    }.items():
        claimed = struct.pack(">IIB", *cost) + b"\x5a" * 16
        slot = passphrase(dk, one, claimed=claimed)
        yield f"cost: {name}", [PASS_KEY], sealed([slot]), failed
    for length in (0, 24, 26):
        slot = passphrase(dk, one, claimed=b"\0" * length)
        yield f"cost: parameters of {length} bytes", [PASS_KEY], sealed([slot]), failed
    low = hpke(dk, one)[0], r.u16_field(b"") + r.u16_field(bytes(32) + bytes(48))
    yield "X25519: an encapsulated key of low order", [X_KEY], sealed([low]), failed
    for length in (1, 31, 32, 79):
        short = hpke(dk, one)[0], hpke(dk, one)[1][:2] + r.u16_field(bytes([7]) * length)
        yield f"X25519: {length} wrapped bytes", [X_KEY], sealed([short]), failed
    yield from bad_shares(shared, failed)
    missing = hpke(dk, one)[0], bytes(4)
    gap = sealed([missing, rsa(dk, one)])
    yield "the only slot of the reader is missing", [X_KEY], gap, s.KEY_UNAVAILABLE


def bad_shares(shared, failed):
    a, b, c = deal(2, 3)

    def three(second, **other):
        slots = [passphrase(a, shared), second, rsa(c, shared)]
        return sealed(slots, other.pop("threshold", 2), **other)

    def with_index(payload, index, check=None):
        """A slot at `index` with a payload that may say something else."""
        desc = hpke(b, shared)[0][:2] + bytes([index]) + hpke(b, shared)[0][3:-16]
        desc += s.share_check(payload) if check is None else check
        bound = s.slot_binding(shared.role, shared.scope, shared, desc)
        enc, public = s.public_of(EPHEMERAL), s.public_of(PRIVATE)
        key, nonce = s.hpke_keys(s.x25519(EPHEMERAL, public), enc, public, shared.info())
        return finished(desc, enc + r.AESGCM(key).encrypt(nonce, payload, bound))

    pair = [PASS_KEY, X_KEY]
    yield "shares: one key of two", [PASS_KEY], three(hpke(b, shared)), r.KEY_NOT_ALLOWED
    foreign = deal(2, 3, share_set=b"\x77" * 16)[1]
    yield "shares: one of another message", pair, three(hpke(foreign, shared)), failed
    relabelled = SET + foreign[16:]
    yield "shares: one of another dealing under this one's id", pair, three(hpke(relabelled, shared)), failed
    other_k = b[:16] + b"\3" + b[17:]
    yield "shares: one that says another threshold", pair, three(hpke(other_k, shared)), failed
    yield "shares: one that says another index", pair, three(with_index(a, 2)), failed
    yield "shares: a wrong check value", pair, three(with_index(b, 2, bytes(16))), failed
    yield "shares: the data key itself", pair, three(with_index(w.DATA_KEY, 2, bytes(16))), failed
    yield "shares: an index twice", pair, three(with_index(a, 1)), r.MALFORMED
    yield "shares: of threshold 2 under threshold 3", ALL, three(hpke(b, shared), threshold=3), failed


def branch_vectors():
    entries = [e.hex() for e in branch_entries()]
    scope = r.scope_pairs(w.SCOPE)
    identifier = bytes(range(16))
    derived = r.branch_data_key(BRANCH_KEY, 7, identifier, scope)
    prefix = b"\xf7\x01\x03\x00" + struct.pack(">I", 7) + identifier
    message = prefix + w.seal_body(3, r.RECORD, 0, b"opened", derived)
    root = s.branch_name(r.scope_pairs(ROOT_SCOPE)).hex()
    keys = [X_KEY, {"branch": root}]
    yield "a record under a branch under a branch", keys, message, "ok", entries
    own = s.branch_name(scope).hex()
    slot = under_branch(w.DATA_KEY, Facts(), 7, BRANCH_KEY, w.SCOPE)
    keys = [*keys, {"branch": own}]
    yield "a slot of a branch key", keys, sealed([slot]), "ok", entries
    slot = under_branch(w.DATA_KEY, Facts(branch=True), 7, BRANCH_KEY, w.SCOPE)
    yield "a branch key's slot of another role", keys, sealed([slot]), r.AUTHENTICATION_FAILED, entries
    slot = under_branch(w.DATA_KEY, Facts(), 8, BRANCH_KEY, w.SCOPE)
    yield "a branch version that nobody has", keys, sealed([slot]), s.KEY_UNAVAILABLE, entries


def vectors():
    """All of them as the JSON objects of section 14."""
    all_ = [(name, keys, message, "ok", []) for name, keys, message in good()]
    all_ += [(*case, []) for case in bad()]
    all_ += branch_vectors()
    for name, keys, message, result, entries in all_:
        vector = {"name": name, "comment": "", "keys": keys}
        vector |= {"entries": entries} if entries else {}
        vector |= {"scope": dict(w.SCOPE), "context": dict(w.CONTEXT), "message": message.hex()}
        vector |= {"plaintext": b"opened".hex()} if result == "ok" else {}
        yield vector | {"result": result}


def render():
    return json.dumps(list(vectors()), indent=1) + "\n"


if __name__ == "__main__":
    sys.stdout.write(render())
