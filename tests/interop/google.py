"""Google's own client of Cloud KMS, as a witness beside ours: what one of them seals, the other opens.

Usage, with the Python of `vault_testkit::servers::python_clients()`; HOST:PORT is a service without TLS:

    google.py --endpoint HOST:PORT work                              does all that the fake must be able to do
    google.py --endpoint HOST:PORT create-key --key KEY              makes the key ring too
    google.py --endpoint HOST:PORT encrypt --key KEY [--aad B64] B64 prints the version's name and the ciphertext
    google.py --endpoint HOST:PORT decrypt --key KEY [--aad B64] B64 prints the plaintext
    google.py --endpoint HOST:PORT log-in --key KEY                  looks at the key as the environment says, once

KEY is the whole name of a CryptoKey, B64 base64; so is what is printed. The additional data are those of
docs/FORMAT.md, section 6.4. Checksums are sent and those of the answers compared. What the service refuses ends with
status 1 and `error: CODE` on stderr. `work` makes a key ring of its own and ends with an error where an answer is not
what the reference says.
"""

import argparse
import base64
import datetime
import os
import sys

# This file is named like the package it needs: its own folder must not be searched.
sys.path = [path for path in sys.path if os.path.realpath(path) != os.path.dirname(os.path.realpath(__file__))]

import google.auth
import google.auth.transport.requests
import grpc
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding
from google.api_core import exceptions
from google.cloud import kms_v1
from google.cloud.kms_v1.services.key_management_service.transports import KeyManagementServiceGrpcTransport
from google.protobuf import duration_pb2, field_mask_pb2, timestamp_pb2

LOCATION = "projects/witness/locations/europe-west1"
Purpose = kms_v1.CryptoKey.CryptoKeyPurpose
State = kms_v1.CryptoKeyVersion.CryptoKeyVersionState
Algorithm = kms_v1.CryptoKeyVersion.CryptoKeyVersionAlgorithm


def crc32c_of(byte):
    for _ in range(8):
        byte = byte >> 1 ^ (0x82F63B78 if byte & 1 else 0)
    return byte


TABLE = [crc32c_of(byte) for byte in range(256)]


def crc32c(data):
    """CRC-32C: RFC 3720, appendix B.4."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc = TABLE[(crc ^ byte) & 0xFF] ^ crc >> 8
    return crc ^ 0xFFFFFFFF


def connect(address):
    transport = KeyManagementServiceGrpcTransport(channel=grpc.insecure_channel(address))
    return kms_v1.KeyManagementServiceClient(transport=transport)


def encrypt(client, name, plaintext, aad=b""):
    answer = client.encrypt(
        request={
            "name": name,
            "plaintext": plaintext,
            "plaintext_crc32c": crc32c(plaintext),
            "additional_authenticated_data": aad,
            "additional_authenticated_data_crc32c": crc32c(aad),
        },
        retry=None,
    )
    assert answer.verified_plaintext_crc32c and answer.verified_additional_authenticated_data_crc32c
    assert answer.ciphertext_crc32c == crc32c(answer.ciphertext)
    return answer


def decrypt(client, name, ciphertext, aad=b""):
    answer = client.decrypt(
        request={
            "name": name,
            "ciphertext": ciphertext,
            "ciphertext_crc32c": crc32c(ciphertext),
            "additional_authenticated_data": aad,
            "additional_authenticated_data_crc32c": crc32c(aad),
        },
        retry=None,
    )
    assert answer.plaintext_crc32c == crc32c(answer.plaintext)
    return answer


def refused(kind, text, call, *args, **kwargs):
    """That the call ends with this error, and its text begins so."""
    try:
        call(*args, **kwargs)
    except exceptions.GoogleAPICallError as error:
        assert type(error) is kind, f"{type(error).__name__}: {error}"
        assert error.message.startswith(text), error.message
        return error
    raise AssertionError(f"{call} was not refused")


def work_rings(client):
    ring = client.create_key_ring(request={"parent": LOCATION, "key_ring_id": "witness", "key_ring": {}})
    assert ring.name == f"{LOCATION}/keyRings/witness" and ring.create_time
    assert client.get_key_ring(name=ring.name) == ring
    refused(
        exceptions.AlreadyExists,
        f"KeyRing {ring.name} already exists.",
        client.create_key_ring,
        request={"parent": LOCATION, "key_ring_id": "witness", "key_ring": {}},
    )
    missing = f"{LOCATION}/keyRings/nowhere"
    refused(exceptions.NotFound, f"KeyRing {missing} not found.", client.get_key_ring, name=missing)
    for wrong in ["", "a b", "a/b", "../a", "a" * 64, "a\n"]:
        refused(
            exceptions.InvalidArgument,
            "",
            client.create_key_ring,
            request={"parent": LOCATION, "key_ring_id": wrong, "key_ring": {}},
        )
    assert ring in list(client.list_key_rings(parent=LOCATION))
    return ring.name


def create_key(client, ring, name, **fields):
    fields.setdefault("purpose", Purpose.ENCRYPT_DECRYPT)
    return client.create_crypto_key(request={"parent": ring, "crypto_key_id": name, "crypto_key": fields})


def work_keys(client, ring):
    key = create_key(client, ring, "first", labels={"team": "blue"})
    assert key.purpose == Purpose.ENCRYPT_DECRYPT and key.labels == {"team": "blue"}
    assert key.primary.name == f"{key.name}/cryptoKeyVersions/1" and key.primary.state == State.ENABLED
    assert key.version_template.algorithm == Algorithm.GOOGLE_SYMMETRIC_ENCRYPTION
    assert key.version_template.protection_level == kms_v1.ProtectionLevel.SOFTWARE
    assert key.destroy_scheduled_duration == datetime.timedelta(days=30)
    assert client.get_crypto_key(name=key.name) == key
    names = [f"many-{at:02}" for at in range(23)]
    for name in names:
        create_key(client, ring, name)
    pages = list(client.list_crypto_keys(request={"parent": ring, "page_size": 7}).pages)
    assert [len(page.crypto_keys) for page in pages] == [7, 7, 7, 3] and pages[0].total_size == 24
    listed = [found.name.rsplit("/", 1)[1] for page in pages for found in page.crypto_keys]
    assert sorted(listed) == sorted(["first"] + names)
    work_updates(client, key)
    return key.name


def work_updates(client, key):
    tomorrow = timestamp_pb2.Timestamp()
    tomorrow.FromDatetime(datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(days=30))
    changed = kms_v1.CryptoKey(
        name=key.name,
        labels={"team": "red"},
        rotation_period=duration_pb2.Duration(seconds=90 * 24 * 3600),
        next_rotation_time=tomorrow,
    )

    def update(paths):
        mask = field_mask_pb2.FieldMask(paths=paths)
        return client.update_crypto_key(crypto_key=changed, update_mask=mask)

    answer = update(["rotation_period", "next_rotation_time"])
    assert answer.rotation_period == datetime.timedelta(days=90) and answer.labels == {"team": "blue"}
    assert update(["labels"]).labels == {"team": "red"}
    refused(exceptions.InvalidArgument, "", update, [])
    refused(exceptions.InvalidArgument, "", update, ["purpose"])
    changed.labels = {"Team": "red"}
    refused(exceptions.InvalidArgument, "", update, ["labels"])
    changed.rotation_period = duration_pb2.Duration(seconds=3600)
    refused(exceptions.InvalidArgument, "", update, ["rotation_period"])


def work_encryption(client, key):
    sealed = encrypt(client, key, b"a secret", b"sample AAD")
    assert sealed.name == f"{key}/cryptoKeyVersions/1"
    opened = decrypt(client, key, sealed.ciphertext, b"sample AAD")
    assert opened.plaintext == b"a secret" and opened.used_primary
    empty = encrypt(client, key, b"")
    assert decrypt(client, key, empty.ciphertext).plaintext == b""
    invalid = exceptions.InvalidArgument
    refused(invalid, "Decryption failed.", decrypt, client, key, sealed.ciphertext, b"different AAD")
    refused(invalid, "Decryption failed: the ciphertext is invalid.", decrypt, client, key, b"malformed cipher message")
    other = key.replace("/first", "/many-00")
    refused(invalid, "Decryption failed: verify that 'name'", decrypt, client, other, sealed.ciphertext, b"sample AAD")
    for at in range(len(sealed.ciphertext)):
        flipped = bytearray(sealed.ciphertext)
        flipped[at] ^= 1
        refused(invalid, "Decryption failed", decrypt, client, key, bytes(flipped), b"sample AAD")
    assert len(encrypt(client, key, bytes(65536), bytes(65536)).ciphertext) > 65536
    refused(invalid, "", encrypt, client, key, bytes(65537))
    wrong_crc = {"name": key, "plaintext": b"\1", "plaintext_crc32c": 0}
    refused(invalid, "The checksum in field plaintext_crc32c did not match", client.encrypt, request=wrong_crc)
    without = client.encrypt(request={"name": key, "plaintext": b"x"})
    assert not without.verified_plaintext_crc32c and without.ciphertext_crc32c == crc32c(without.ciphertext)


def work_hsm(client, ring):
    template = {"protection_level": kms_v1.ProtectionLevel.HSM, "algorithm": Algorithm.GOOGLE_SYMMETRIC_ENCRYPTION}
    key = create_key(client, ring, "hsm", version_template=template)
    assert key.primary.protection_level == kms_v1.ProtectionLevel.HSM
    sealed = encrypt(client, key.name, bytes(4096), bytes(4096))
    assert decrypt(client, key.name, sealed.ciphertext, bytes(4096)).plaintext == bytes(4096)
    refused(exceptions.InvalidArgument, "", encrypt, client, key.name, bytes(4096), bytes(4097))


def work_versions(client, key):
    first = f"{key}/cryptoKeyVersions/1"
    old = encrypt(client, key, b"old").ciphertext
    second = client.create_crypto_key_version(parent=key, crypto_key_version={})
    assert second.name == f"{key}/cryptoKeyVersions/2" and second.state == State.ENABLED
    assert encrypt(client, key, b"x").name == first, "a new version is not the primary one"
    assert encrypt(client, second.name, b"x").name == second.name, "a version can be named"
    answer = client.update_crypto_key_primary_version(name=key, crypto_key_version_id="2")
    assert answer.primary.name == second.name
    assert encrypt(client, key, b"x").name == second.name
    opened = decrypt(client, key, old)
    assert opened.plaintext == b"old" and not opened.used_primary
    listed = [version.name for version in client.list_crypto_key_versions(request={"parent": key, "page_size": 1})]
    assert listed == [first, second.name]
    work_states(client, key, first, old)


def set_state(client, version, state):
    mask = field_mask_pb2.FieldMask(paths=["state"])
    return client.update_crypto_key_version(
        crypto_key_version=kms_v1.CryptoKeyVersion(name=version, state=state), update_mask=mask
    )


def work_states(client, key, version, ciphertext):
    failed = exceptions.FailedPrecondition
    assert set_state(client, version, State.DISABLED).state == State.DISABLED
    text = f"{version} is not enabled, current state is: DISABLED."
    error = refused(failed, text, decrypt, client, key, ciphertext)
    violation = error.details[0].violations[0]
    assert violation.type == "KEY_DISABLED" and violation.subject == version
    refused(failed, text, encrypt, client, version, b"x")
    assert set_state(client, version, State.ENABLED).state == State.ENABLED
    assert decrypt(client, key, ciphertext).plaintext == b"old"
    destroyed = client.destroy_crypto_key_version(name=version)
    assert destroyed.state == State.DESTROY_SCHEDULED
    left = destroyed.destroy_time - datetime.datetime.now(datetime.timezone.utc)
    assert datetime.timedelta(days=29) < left <= datetime.timedelta(days=30)
    text = f"{version} is not enabled, current state is: DESTROY_SCHEDULED."
    refused(failed, text, decrypt, client, key, ciphertext)
    text = f"The request cannot be fulfilled. Resource {version} has value DESTROY_SCHEDULED"
    refused(failed, text, client.destroy_crypto_key_version, name=version)
    refused(failed, text, set_state, client, version, State.ENABLED)
    restored = client.restore_crypto_key_version(name=version)
    assert restored.state == State.DISABLED and not restored.destroy_time
    refused(failed, "The request cannot be fulfilled.", client.restore_crypto_key_version, name=version)
    set_state(client, version, State.ENABLED)
    assert client.get_crypto_key_version(name=version).state == State.ENABLED
    assert decrypt(client, key, ciphertext).plaintext == b"old"


def work_rsa(client, ring):
    template = {"algorithm": Algorithm.RSA_DECRYPT_OAEP_2048_SHA256}
    key = create_key(client, ring, "rsa", purpose=Purpose.ASYMMETRIC_DECRYPT, version_template=template)
    assert not key.primary.name
    version = f"{key.name}/cryptoKeyVersions/1"
    public = client.get_public_key(name=version)
    assert public.pem_crc32c == crc32c(public.pem.encode())
    loaded = serialization.load_pem_public_key(public.pem.encode())
    sha256 = hashes.SHA256()
    sealed = loaded.encrypt(b"for RSA", padding.OAEP(padding.MGF1(sha256), sha256, None))
    request = {"name": version, "ciphertext": sealed, "ciphertext_crc32c": crc32c(sealed)}
    opened = client.asymmetric_decrypt(request=request)
    assert opened.plaintext == b"for RSA" and opened.verified_ciphertext_crc32c
    assert opened.plaintext_crc32c == crc32c(b"for RSA")
    refused(exceptions.InvalidArgument, "", client.asymmetric_decrypt, request={"name": version, "ciphertext": b"x"})
    refused(exceptions.FailedPrecondition, "The request cannot be fulfilled.", encrypt, client, key.name, b"x")


def work_iam(client, ring, key):
    for resource in (ring, key):
        policy = client.get_iam_policy(request={"resource": resource})
        assert not policy.bindings and policy.etag
        stale = policy.etag
        members = ["user:b@example.com", "user:a@example.com"]
        policy.bindings.add(role="roles/cloudkms.cryptoKeyDecrypter", members=members)
        answer = client.set_iam_policy(request={"resource": resource, "policy": policy})
        assert answer.etag != stale and answer.bindings[0].members == sorted(members)
        assert client.get_iam_policy(request={"resource": resource}) == answer
        refused(
            exceptions.Aborted,
            "There were concurrent policy changes.",
            client.set_iam_policy,
            request={"resource": resource, "policy": policy},
        )
    asked = ["cloudkms.cryptoKeyVersions.useToEncrypt", "storage.buckets.get"]
    answer = client.test_iam_permissions(request={"resource": key, "permissions": asked})
    assert answer.permissions == asked[:1]
    answer = client.test_iam_permissions(request={"resource": f"{key}-not", "permissions": asked})
    assert not answer.permissions


def work_random(client):
    def random(length):
        request = {"location": LOCATION, "length_bytes": length, "protection_level": kms_v1.ProtectionLevel.HSM}
        return client.generate_random_bytes(request=request)

    for length in (8, 32, 1024):
        answer = random(length)
        assert len(answer.data) == length and answer.data_crc32c == crc32c(answer.data)
    assert random(32).data != random(32).data
    for length in (0, 7, 1025):
        refused(exceptions.InvalidArgument, "", random, length)


def work(client):
    ring = work_rings(client)
    key = work_keys(client, ring)
    work_encryption(client, key)
    work_versions(client, key)
    work_hsm(client, ring)
    work_rsa(client, ring)
    work_iam(client, ring, key)
    work_random(client)
    print("all of it")


def log_in(client, key):
    """With the application default credentials: GOOGLE_APPLICATION_CREDENTIALS, else the metadata server."""
    credentials, _ = google.auth.default(scopes=["https://www.googleapis.com/auth/cloud-platform"])
    credentials.refresh(google.auth.transport.requests.Request())
    # An insecure channel takes no credentials, so the header is written here.
    client.get_crypto_key(name=key, metadata=[("authorization", f"Bearer {credentials.token}")])


def decoded(text):
    return base64.b64decode(text, validate=True)


def encoded(data):
    return base64.b64encode(data).decode()


def parse():
    parser = argparse.ArgumentParser(description="Google's client beside ours of Cloud KMS")
    parser.add_argument("--endpoint", required=True)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("work")
    for name in ("create-key", "encrypt", "decrypt", "log-in"):
        command = commands.add_parser(name)
        command.add_argument("--key", required=True)
        if name in ("encrypt", "decrypt"):
            command.add_argument("--aad", type=decoded, default=b"")
            command.add_argument("input", type=decoded)
    return parser.parse_args()


def main():
    args = parse()
    client = connect(args.endpoint)
    match args.command:
        case "work":
            work(client)
        case "create-key":
            ring, _, name = args.key.partition("/cryptoKeys/")
            parent, _, ring_name = ring.partition("/keyRings/")
            try:
                client.create_key_ring(request={"parent": parent, "key_ring_id": ring_name, "key_ring": {}})
            except exceptions.AlreadyExists:
                pass
            create_key(client, ring, name)
        case "log-in":
            log_in(client, args.key)
        case "encrypt":
            answer = encrypt(client, args.key, args.input, args.aad)
            print(answer.name)
            print(encoded(answer.ciphertext))
        case "decrypt":
            print(encoded(decrypt(client, args.key, args.input, args.aad).plaintext))


if __name__ == "__main__":
    try:
        main()
    except exceptions.GoogleAPICallError as error:
        sys.exit(f"error: {error.grpc_status_code.name}")
