//! Seeds the corpora: from the published vectors, so that every run starts with messages that open and
//! with one message for every rule that is broken, and with the texts below.

use std::fs;
use std::path::Path;

use serde_json::Value;

/// Seeds of targets that take no message.
const TEXTS: [(&str, &[&str]); 9] = [
    (
        "aws_names",
        &[
            "arn:aws:kms:eu-central-1:111122223333:key/mrk-1\narn:aws:kms:eu-central-1:111122223333:key/mrk-1",
            "alias/team/app\narn:aws-cn:kms:cn-north-1:111122223333:key/1-a",
            "arn:aws:kms:eu-central-1:111122223333:alias/app\nx",
        ],
    ),
    (
        "azure_names",
        &[
            "https://a.vault.azure.net\napp\nhttps://a.vault.azure.net/keys/app/0f",
            "https://A.managedhsm.azure.net:8443/\nhttps://a.managedhsm.azure.net:8443/keys/App\nhttps://[::1]/keys/b/1",
        ],
    ),
    (
        "config_file",
        &[
            "[kms.main]\nuri = \"aws-kms://alias/app\"\nregion = \"${REGION}\"\n[kms.exit]\nuri = \"local:keys#a\"\n\
             [envelope.cards]\nwrite = { primary = \"main\", fill = [\"exit\"] }\nopen = [\"main\"]\n\
             scope = { table = \"cards\" }\nhedge_after = \"50ms\"\ncache = false\n",
            "[kms.a]\nuri=\"hcvault://vault.example.com/transit/app\"\n[envelope.x]\nwrite={at_least=1,of=[\"a\"]}\n",
            "[kms.a]\nuri=\"gcp-kms://projects/p/locations/l/keyRings/r/cryptoKeys/k\"\n[kms.b]\n\
             uri=\"azurekeyvault://b.vault.azure.net/keys/app\"\n[envelope.x]\nwrite={threshold=2,of=[\"a\",\"b\"]}\n",
            "[envelope.x]\nwrite={all=[\"a\"]}\n",
        ],
    ),
    (
        "gcp_names",
        &[
            "projects/p/locations/l/keyRings/r/cryptoKeys/k\nprojects/p/locations/l/keyRings/r/cryptoKeys/k/cryptoKeyVersions/7",
            "gcp-kms://projects/example.com:p/locations/l/keyRings/r/cryptoKeys/k\nk",
            "k\nprojects/9/locations/eu/keyRings/r/cryptoKeys/k",
        ],
    ),
    (
        "vault_names",
        &[
            "team-a/transit\napp\nhttps://vault.example.com:8200/x",
            "/transit/\nhcvault:prod/transit#app\nhttp://[::1]:8200",
            "vault:v1:Bj1aXSRdA1mXATn6bjfv7f2jO2/PgkwfxVKW6BYyyQ==",
        ],
    ),
    (
        "kms_uri",
        &[
            "local:/srv/keys#orders",
            "local:keys",
            "local:///srv/a#b#c",
            "aws-kms://alias/app?region=eu-west-1",
            "hcvault://vault.example.com:8200/team-a/transit/keys/app?name=prod",
            "azurekeyvault://a.vault.azure.net/keys/app",
            "gcp-kms://projects/p/locations/l/keyRings/r/cryptoKeys/k",
        ],
    ),
    (
        "password_hash",
        &[
            "$argon2id$v=19$m=8,t=1,p=1$c2FsdHNhbHRzYWx0c2FsdA$MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY",
            "$argon2id$v=19$m=65536,t=3,p=4",
            "$scrypt$ln=17,r=8,p=1",
            "$pbkdf2-sha256$i=600000",
            "$pbkdf2-sha512$i=210000",
        ],
    ),
    (
        "pairs",
        &[
            "table=cards\u{1F}tenant=acme",
            "\0\0",
            "\0\x02\0\x01a\0\x01v\0\x01b\0\x01w",
            "\0\x03\0\x01a\0\x01v\0\x02ab\0\x02vw\0\x03x.y\0\x01=",
        ],
    ),
    ("key_names", &["arn:aws:kms:eu-central-1:111122223333:key/1\n7f-3A", "vault#k\nv:3/a+b="]),
];

fn main() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let vectors = root.join("../docs/vectors");
    println!("cargo::rerun-if-changed={}", vectors.display());
    println!("cargo::rerun-if-changed=build.rs");
    for (target, texts) in TEXTS {
        let folder = root.join("corpus").join(target);
        fs::create_dir_all(&folder).expect("the corpus can be written");
        for (number, text) in texts.iter().enumerate() {
            fs::write(folder.join(format!("text-{number}")), text).expect("a seed");
        }
    }
    for entry in fs::read_dir(vectors).expect("docs/vectors is there") {
        let path = entry.expect("docs/vectors can be listed").path();
        let text = fs::read_to_string(&path).expect("a vector file is text");
        let values: Vec<Value> = serde_json::from_str(&text).expect("a vector file is JSON");
        let file = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        for (number, value) in values.iter().enumerate() {
            let Some(message) = value.get("message").or_else(|| value.get("header")) else {
                continue;
            };
            let message = hex::decode(message.as_str().unwrap_or_default()).expect("hexadecimal");
            // Long ones slow every run down and reach nothing that short ones do not.
            if message.len() > 4_096 {
                continue;
            }
            for entry in value.get("entries").and_then(Value::as_array).into_iter().flatten() {
                let entry = hex::decode(entry.as_str().unwrap_or_default()).expect("hexadecimal");
                seed(root, "branch_entry", &format!("{file}-{number}"), &entry);
            }
            for target in targets(&file) {
                seed(root, target, &format!("{file}-{number}"), &message);
            }
        }
    }
    let rsa = root.join("../crates/vault-envelope/examples/vectors/rsa_private.hex");
    let rsa = fs::read_to_string(rsa).expect("the key of the vectors").replace('\n', "");
    seed(root, "key_text", "rsa-private", &hex::decode(rsa).expect("hexadecimal"));
}

fn seed(root: &Path, target: &str, name: &str, bytes: &[u8]) {
    let folder = root.join("corpus").join(target);
    fs::create_dir_all(&folder).expect("the corpus can be written");
    fs::write(folder.join(name), bytes).expect("a seed");
}

/// The targets that take such messages as they are.
fn targets(file: &str) -> &'static [&'static str] {
    match file {
        "compact" => &["branch_entry", "compact_record"],
        "keys" => &["branch_entry", "header", "record"],
        "streams" => &["header", "stream"],
        "padding" => &["header", "record", "stream"],
        _ => &["header", "record"],
    }
}
