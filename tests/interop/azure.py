"""Microsoft's own Python client, at work on a Key Vault that stands on loopback under its real name.

    python -I azure.py HOST:PORT CA_FILE work [PART...]
    python -I azure.py HOST:PORT CA_FILE wrap|encrypt KEY[/VERSION]        plaintext on stdin, in hex
    python -I azure.py HOST:PORT CA_FILE unwrap|decrypt KEY/VERSION        ciphertext on stdin, in hex

The vault is AZURE_VAULT_URL (https://NAME.vault.azure.net), the login AZURE_TENANT_ID, AZURE_CLIENT_ID and
AZURE_CLIENT_SECRET. The names of the vault and of the login server lead to HOST:PORT; certificates and the challenge's
resource are checked as always. `work` does everything the fake must be able to do, on keys of its own (or only the PARTs that
are named), and ends with an error where an answer is not what the reference says. `wrap` and `encrypt` answer the key's identifier and the
ciphertext in hex, on a line each (the client does both by itself, with the public key); `unwrap` and `decrypt`
answer the plaintext in hex. All use RSA-OAEP-256.
"""

import datetime
import os
import socket
import sys

from azure.core.exceptions import ClientAuthenticationError, HttpResponseError, ResourceExistsError
from azure.core.exceptions import ResourceNotFoundError
from azure.identity import ClientSecretCredential
from azure.keyvault.keys import ApiVersion, KeyClient, KeyOperation, KeyRotationLifetimeAction, KeyRotationPolicy
from azure.keyvault.keys import KeyRotationPolicyAction
from azure.keyvault.keys.crypto import CryptographyClient, EncryptionAlgorithm, KeyWrapAlgorithm

LOGIN = "login.microsoftonline.com"
WRAP = KeyWrapAlgorithm.rsa_oaep_256
ENCRYPT = EncryptionAlgorithm.rsa_oaep_256


def lead(names, address):
    """Has every look-up of `names` answer `address`, as a hosts file would, ports included."""
    host, port = address.rsplit(":", 1)
    ask = socket.getaddrinfo

    def answer(name, asked_port, *rest, **named):
        if name in names:
            return ask(host, int(port), *rest, **named)
        return ask(name, asked_port, *rest, **named)

    socket.getaddrinfo = answer


class Vault:
    def __init__(self, address, ca_file, secret=None):
        self.url = os.environ["AZURE_VAULT_URL"]
        lead({self.url.removeprefix("https://"), LOGIN}, address)
        # One attempt: a refusal is to be seen, not to be waited out.
        self.options = {"connection_verify": ca_file, "retry_total": 0}
        self.credential = ClientSecretCredential(
            os.environ["AZURE_TENANT_ID"],
            os.environ["AZURE_CLIENT_ID"],
            secret or os.environ["AZURE_CLIENT_SECRET"],
            **self.options,
        )
        self.keys = KeyClient(self.url, self.credential, **self.options)

    def key(self, name):
        """The cryptography of KEY or KEY/VERSION."""
        key, _, version = name.partition("/")
        return self.cryptography(self.keys.get_key(key, version or None))

    def cryptography(self, key):
        return CryptographyClient(key, self.credential, **self.options)

    def remote(self, identifier):
        """Without the public key: everything goes to the server until it gives the key."""
        return CryptographyClient(identifier, self.credential, **self.options)


def refused(error, code, call, *args, **named):
    """`call` fails with `error`, whose code and inner code are `code`."""
    try:
        call(*args, **named)
    except error as refusal:
        found = [refusal.error.code if refusal.error else None]
        inner = refusal.error.innererror if refusal.error else None
        if inner:
            found.append(inner["code"])
        assert found == code, f"{found} instead of {code}: {refusal.message}"
        return refusal
    raise AssertionError(f"not refused with {code}")


def work(vault, parts):
    known = [versions_and_use, listing, attributes, rotation_policy, deletion, backups, wrong_login]
    assert set(parts) <= {part.__name__ for part in known}, parts
    for part in known:
        if not parts or part.__name__ in parts:
            part(vault)


def versions_and_use(vault):
    key = vault.keys.create_rsa_key("work", size=2048, tags={"made-by": "python"})
    assert key.id == f"{vault.url}/keys/work/{key.properties.version}", key.id
    assert key.properties.enabled and key.properties.tags == {"made-by": "python"}
    assert len(key.key.n) in (256, 257) and key.key_type == "RSA"
    assert set(key.key_operations) == {"encrypt", "decrypt", "sign", "verify", "wrapKey", "unwrapKey"}

    secret = b"a data key of 32 bytes, as it is"
    wrapped = vault.cryptography(key).wrap_key(WRAP, secret)
    encrypted = vault.cryptography(key).encrypt(ENCRYPT, secret)
    rotated = vault.keys.rotate_key("work")
    assert rotated.properties.version != key.properties.version
    assert rotated.properties.tags == {"made-by": "python"}
    assert vault.keys.get_key("work").properties.version == rotated.properties.version
    old, new = vault.cryptography(key), vault.cryptography(rotated)
    assert old.unwrap_key(WRAP, wrapped.encrypted_key).key == secret
    assert old.decrypt(ENCRYPT, encrypted.ciphertext).plaintext == secret
    refused(HttpResponseError, ["BadParameter"], new.unwrap_key, WRAP, wrapped.encrypted_key)
    changed = bytearray(wrapped.encrypted_key)
    changed[-1] ^= 1
    refused(HttpResponseError, ["BadParameter"], old.unwrap_key, WRAP, bytes(changed))

    old_key = vault.keys.get_key("work", key.properties.version)
    assert old_key.key.n == key.key.n
    refused(ResourceNotFoundError, ["KeyNotFound"], vault.keys.get_key, "work", "0" * 32)
    refused(ResourceNotFoundError, ["KeyNotFound"], vault.keys.get_key, "never-made")
    refused(HttpResponseError, ["BadParameter"], vault.keys.get_key, "no_such_name")
    for size in (3072, 4096):
        large = vault.keys.create_rsa_key(f"work-{size}", size=size)
        sealed = vault.cryptography(large).wrap_key(WRAP, secret)
        assert vault.cryptography(large).unwrap_key(WRAP, sealed.encrypted_key).key == secret
    curve = vault.keys.create_ec_key("work-curve")
    assert curve.key_type == "EC" and curve.key.crv == "P-256" and len(curve.key.x) == 32


def listing(vault):
    for number in range(27):
        # A curve is made faster.
        vault.keys.create_ec_key(f"list-{number:02}")
    names = [key.name for key in vault.keys.list_properties_of_keys()]
    assert len(names) == len(set(names)) >= 27 and "list-26" in names, names
    pages = list(vault.keys.list_properties_of_keys(max_page_size=10).by_page())
    assert [len(list(page)) for page in pages][:2] == [10, 10]
    for _ in range(27):
        vault.keys.create_ec_key("many-versions")
    versions = list(vault.keys.list_properties_of_key_versions("many-versions"))
    assert len({version.version for version in versions}) == 27
    assert list(vault.keys.list_properties_of_key_versions("never-made")) == []


def attributes(vault):
    secret = b"secret"
    key = vault.keys.create_rsa_key("attributes")
    wrapped = vault.cryptography(key).wrap_key(WRAP, secret).encrypted_key
    disabled = vault.keys.update_key_properties("attributes", enabled=False, tags={"a": "b"})
    assert not disabled.properties.enabled and disabled.properties.tags == {"a": "b"}
    assert disabled.properties.updated_on >= key.properties.created_on
    refused(HttpResponseError, ["Forbidden", "KeyDisabled"], vault.remote(key.id).unwrap_key, WRAP, wrapped)
    assert not vault.keys.get_key("attributes").properties.enabled
    vault.keys.update_key_properties("attributes", enabled=True)
    assert vault.remote(key.id).unwrap_key(WRAP, wrapped).key == secret

    now = datetime.datetime.now(datetime.timezone.utc).replace(microsecond=0)
    hour = datetime.timedelta(hours=1)
    over = vault.keys.update_key_properties("attributes", not_before=now - 2 * hour, expires_on=now - hour)
    assert over.properties.expires_on == now - hour
    # Past its end a key still opens: "Date-time controlled operations".
    assert vault.remote(key.id).unwrap_key(WRAP, wrapped).key == secret

    only_wraps = vault.keys.create_rsa_key("only-wraps", key_operations=[KeyOperation.wrap_key])
    wrapped = vault.cryptography(only_wraps).wrap_key(WRAP, secret).encrypted_key
    # The client refuses by itself what the key's operations do not name, so the server is asked directly.
    remote = CryptographyClient(only_wraps.id, vault.credential, **vault.options)
    remote._initialized = True
    refused(HttpResponseError, ["Forbidden", "KeyOperationForbidden"], remote.unwrap_key, WRAP, wrapped)


def rotation_policy(vault):
    vault.keys.create_ec_key("policy")
    bare = vault.keys.get_key_rotation_policy("policy")
    assert [action.action for action in bare.lifetime_actions] == [KeyRotationPolicyAction.notify]
    rotate = KeyRotationLifetimeAction(KeyRotationPolicyAction.rotate, time_after_create="P2M")
    wanted = KeyRotationPolicy(lifetime_actions=[rotate], expires_in="P90D")
    policy = vault.keys.update_key_rotation_policy("policy", wanted)
    assert policy.expires_in == "P90D" and policy.created_on and policy.updated_on
    kinds = [str(action.action).lower() for action in policy.lifetime_actions]
    assert sorted(kinds) == ["notify", "rotate"] or "rotate" in "".join(kinds), kinds
    assert vault.keys.rotate_key("policy").properties.expires_on is not None
    soon = KeyRotationLifetimeAction(KeyRotationPolicyAction.rotate, time_after_create="P1D")
    wanted = KeyRotationPolicy(lifetime_actions=[soon])
    refused(HttpResponseError, ["BadParameter"], vault.keys.update_key_rotation_policy, "policy", wanted)


def deletion(vault):
    key = vault.keys.create_rsa_key("deleted")
    wrapped = vault.cryptography(key).wrap_key(WRAP, b"secret").encrypted_key
    deleted = vault.keys.begin_delete_key("deleted", _polling_interval=0.01)
    gone = deleted.result()
    assert gone.recovery_id == f"{vault.url}/deletedkeys/deleted"
    days = gone.properties.recoverable_days
    assert gone.scheduled_purge_date - gone.deleted_date == datetime.timedelta(days=days)
    deleted.wait()
    refused(ResourceNotFoundError, ["KeyNotFound"], vault.keys.get_key, "deleted")
    refused(ResourceNotFoundError, ["KeyNotFound"], vault.remote(key.id).unwrap_key, WRAP, wrapped)
    assert vault.keys.get_deleted_key("deleted").properties.version == key.properties.version
    names = [item.name for item in vault.keys.list_deleted_keys()]
    assert names == ["deleted"], names
    conflict = ["Conflict", "ObjectIsDeletedButRecoverable"]
    refused(ResourceExistsError, conflict, vault.keys.create_rsa_key, "deleted")
    recovered = vault.keys.begin_recover_deleted_key("deleted", _polling_interval=0.01)
    recovered.wait()
    assert vault.remote(key.id).unwrap_key(WRAP, wrapped).key == b"secret"
    vault.keys.begin_delete_key("deleted", _polling_interval=0.01).wait()
    vault.keys.purge_deleted_key("deleted")
    refused(ResourceNotFoundError, ["KeyNotFound"], vault.keys.get_deleted_key, "deleted")
    assert vault.keys.create_rsa_key("deleted").properties.version != key.properties.version


def backups(vault):
    key = vault.keys.create_rsa_key("kept")
    wrapped = vault.cryptography(key).wrap_key(WRAP, b"secret").encrypted_key
    backup = vault.keys.backup_key("kept")
    refused(ResourceExistsError, ["Conflict"], vault.keys.restore_key_backup, backup)
    vault.keys.begin_delete_key("kept", _polling_interval=0.01).wait()
    vault.keys.purge_deleted_key("kept")
    restored = vault.keys.restore_key_backup(backup)
    assert restored.id == key.id
    assert vault.remote(key.id).unwrap_key(WRAP, wrapped).key == b"secret"


def wrong_login(_):
    stranger = Vault(sys.argv[1], sys.argv[2], secret="not the secret")
    try:
        stranger.keys.get_key("work")
    except ClientAuthenticationError as error:
        assert "AADSTS7000215" in error.message, error.message
    else:
        raise AssertionError("a wrong secret logged in")


def main():
    address, ca_file, command, *rest = sys.argv[1:]
    vault = Vault(address, ca_file)
    if command == "work":
        work(vault, rest)
        print("done")
        return
    (name,) = rest
    given = bytes.fromhex(sys.stdin.read())
    key = vault.key(name)
    if command == "wrap":
        done = key.wrap_key(WRAP, given)
        print(done.key_id, done.encrypted_key.hex(), sep="\n")
    elif command == "encrypt":
        done = key.encrypt(ENCRYPT, given)
        print(done.key_id, done.ciphertext.hex(), sep="\n")
    elif command == "unwrap":
        print(key.unwrap_key(WRAP, given).key.hex())
    elif command == "decrypt":
        print(key.decrypt(ENCRYPT, given).plaintext.hex())
    else:
        sys.exit(f"no command {command}")


main()
