"""hvac, a client of Vault that is not ours, as a witness: what one of them seals, the other opens.

Usage, with the Python of `vault_testkit::servers::python_clients()` and the login in the environment
(`VAULT_ADDR`, `VAULT_TOKEN`, and if there is one `VAULT_CACERT` and `VAULT_NAMESPACE`):

    vault.py create-key --key NAME [--plain]                  a derived key, or a plain one
    vault.py encrypt  --key NAME [--context BASE64] BASE64    prints `vault:vN:...`
    vault.py decrypt  --key NAME [--context BASE64] vault:..  prints the plaintext in base64
    vault.py data-key --key NAME [--context BASE64]           prints the plaintext and `vault:vN:...`, a line each
    vault.py rewrap   --key NAME [--context BASE64] vault:..  prints `vault:vN:...`
    vault.py rotate   --key NAME

Each takes `--mount PATH` (default `transit`); `create-key` mounts the engine there if it is not. The
context is that of docs/FORMAT.md, section 6.4: base64 of S, standard alphabet, padded. What the server
refuses ends with status 1 and `error: CLASS` on stderr.
"""

import argparse
import os
import sys

import hvac
from hvac.exceptions import VaultError


def parse():
    parser = argparse.ArgumentParser(description="hvac beside our client of Transit")
    commands = parser.add_subparsers(dest="command", required=True)
    for name in ("create-key", "encrypt", "decrypt", "data-key", "rewrap", "rotate"):
        command = commands.add_parser(name)
        command.add_argument("--mount", default="transit")
        command.add_argument("--key", required=True)
        if name == "create-key":
            command.add_argument("--plain", action="store_true")
        if name in ("encrypt", "decrypt", "data-key", "rewrap"):
            command.add_argument("--context")
        if name in ("encrypt", "decrypt", "rewrap"):
            command.add_argument("input")
    return parser.parse_args()


def create_key(client, args, at):
    if f"{args.mount}/" not in client.sys.list_mounted_secrets_engines()["data"]:
        client.sys.enable_secrets_engine("transit", path=args.mount)
    client.secrets.transit.create_key(args.key, derived=not args.plain, **at)


def main():
    args = parse()
    os.environ["NO_PROXY"] = "127.0.0.1"  # whatever the environment says: the servers are on loopback
    client = hvac.Client(
        namespace=os.environ.get("VAULT_NAMESPACE"), verify=os.environ.get("VAULT_CACERT", True)
    )
    transit = client.secrets.transit
    at = {"mount_point": args.mount}
    context = {"context": args.context} if getattr(args, "context", None) else {}
    match args.command:
        case "create-key":
            create_key(client, args, at)
        case "encrypt":
            answer = transit.encrypt_data(args.key, plaintext=args.input, **context, **at)
            print(answer["data"]["ciphertext"])
        case "decrypt":
            answer = transit.decrypt_data(args.key, ciphertext=args.input, **context, **at)
            print(answer["data"]["plaintext"])
        case "data-key":
            answer = transit.generate_data_key(args.key, key_type="plaintext", **context, **at)
            print(answer["data"]["plaintext"])
            print(answer["data"]["ciphertext"])
        case "rewrap":
            answer = transit.rewrap_data(args.key, ciphertext=args.input, **context, **at)
            print(answer["data"]["ciphertext"])
        case "rotate":
            transit.rotate_key(args.key, **at)


if __name__ == "__main__":
    try:
        main()
    except VaultError as error:
        sys.exit(f"error: {type(error).__name__}")
