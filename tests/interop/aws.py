"""Amazon's own client, boto3, as a witness beside ours: what one of them seals, the other opens.

Usage, with the Python of `vault_testkit::servers::python_clients()` and the login in the environment
(`AWS_ENDPOINT_URL`, `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY`, `AWS_REGION`; `--endpoint` names another):

    aws.py create-key                                          prints the ARN of a new key
    aws.py encrypt  --key KEY [--context NAME=VALUE].. BASE64  prints the ciphertext blob in base64
    aws.py decrypt [--key KEY] [--context NAME=VALUE].. BASE64 prints the plaintext in base64
    aws.py data-key --key KEY [--context NAME=VALUE]..         prints the plaintext and the blob, a line each
    aws.py rotate   --key KEY                                  rotates the key's material now
    aws.py disable  --key KEY

The context is the EncryptionContext of docs/FORMAT.md, section 6.4: each pair of the scope, and
`vaultkit:kind`. What the service refuses ends with status 1 and `error: CODE` on stderr.
"""

import argparse
import base64
import os
import sys

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError


def pair(text):
    """`NAME=VALUE`; a name holds no equals sign here, a value may."""
    name, equals, value = text.partition("=")
    if not equals:
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=VALUE")
    return name, value


def parse():
    parser = argparse.ArgumentParser(description="boto3 beside our client of AWS KMS")
    commands = parser.add_subparsers(dest="command", required=True)
    for name in ("create-key", "encrypt", "decrypt", "data-key", "rotate", "disable"):
        command = commands.add_parser(name)
        command.add_argument("--endpoint")
        command.add_argument("--region", default=os.environ.get("AWS_REGION"))
        if name != "create-key":
            command.add_argument("--key", required=name != "decrypt")
        if name in ("encrypt", "decrypt", "data-key"):
            command.add_argument("--context", type=pair, action="append", default=[])
        if name in ("encrypt", "decrypt"):
            command.add_argument("input", type=lambda text: base64.b64decode(text, validate=True))
    return parser.parse_args()


def encoded(data):
    return base64.b64encode(data).decode()


def main():
    args = parse()
    os.environ["NO_PROXY"] = "127.0.0.1"  # whatever the environment says: the servers are on loopback
    once = Config(retries={"total_max_attempts": 1})
    kms = boto3.client("kms", endpoint_url=args.endpoint, region_name=args.region, config=once)
    key = {"KeyId": args.key} if getattr(args, "key", None) else {}
    context = {"EncryptionContext": dict(args.context)} if getattr(args, "context", None) else {}
    match args.command:
        case "create-key":
            print(kms.create_key()["KeyMetadata"]["Arn"])
        case "encrypt":
            print(encoded(kms.encrypt(Plaintext=args.input, **key, **context)["CiphertextBlob"]))
        case "decrypt":
            print(encoded(kms.decrypt(CiphertextBlob=args.input, **key, **context)["Plaintext"]))
        case "data-key":
            answer = kms.generate_data_key(NumberOfBytes=32, **key, **context)
            print(encoded(answer["Plaintext"]))
            print(encoded(answer["CiphertextBlob"]))
        case "rotate":
            kms.rotate_key_on_demand(**key)
        case "disable":
            kms.disable_key(**key)


if __name__ == "__main__":
    try:
        main()
    except ClientError as error:
        sys.exit(f"error: {error.response['Error']['Code']}")
