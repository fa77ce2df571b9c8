//! `vaultkit.toml`: what it says happens, and what it must not say is refused with the place.

use pollster::block_on;
use vaultkit::config::Config;
use vaultkit::core::header::parse;
use vaultkit::core::{EncryptedData, EncryptionContext, ErrorKind, KeyConfig};
use vaultkit::kms::local::{LocalKms, LocalKmsConfig};

const NO_VARIABLES: fn(&str) -> Option<String> = |_| None;

fn refused(text: &str, sentence: &str) {
    let error = Config::parse(text, NO_VARIABLES).expect_err(text);
    assert_eq!(error.kind(), ErrorKind::InvalidInput, "{text}");
    assert!(error.to_string().contains(sentence), "{text}: {error}");
}

struct Desk {
    folder: tempfile::TempDir,
}

impl Desk {
    /// Stores `a`, `b` and `c`, each with a key named `default`.
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        for name in ["a", "b", "c"] {
            LocalKms::open_or_create(LocalKmsConfig::new(folder.path().join(name))).unwrap();
        }
        Self { folder }
    }

    fn config(&self, envelopes: &str) -> Config {
        let text = ["a", "b", "c"]
            .map(|name| format!("[kms.{name}]\nuri = \"local:${{FOLDER}}/{name}#default\"\n"));
        let folder = self.folder.path().display().to_string();
        let text = text.concat() + envelopes;
        Config::parse(&text, |name| (name == "FOLDER").then(|| folder.clone())).unwrap()
    }
}

#[test]
fn what_one_envelope_seals_the_services_it_names_open() {
    let desk = Desk::new();
    let config = desk.config(
        r#"
        [envelope.one]
        write = "a"
        [envelope.both]
        write = { all = ["a", "b"] }
        scope = { table = "cards" }
        [envelope.reader]
        write = "b"
        scope = { table = "cards" }
        [envelope.two_of_three]
        write = { threshold = 2, of = ["a", "b", "c"] }
        hedge_after = "200ms"
        cache = false
        [envelope.other]
        write = "c"
        open = ["a"]
        "#,
    );
    assert_eq!(config.kms_names().collect::<Vec<_>>(), ["a", "b", "c"]);
    let context = EncryptionContext::from([("row", "7")]);
    block_on(async {
        let sealed = async |name: &str| {
            let envelope = config.envelope(name).await.unwrap();
            envelope.encrypt(b"value", &context).await.unwrap()
        };
        let opens = async |name: &str, sealed: &EncryptedData| {
            config.envelope(name).await.unwrap().decrypt(sealed, &context).await.is_ok()
        };
        let both = sealed("both").await;
        assert!(opens("reader", &both).await, "the second recipient");
        assert!(!opens("one", &both).await, "another scope");
        let one = sealed("one").await;
        assert!(opens("other", &one).await, "named under open");
        assert!(!opens("reader", &one).await);
        let shares = sealed("two_of_three").await;
        assert!(opens("two_of_three", &shares).await);
        assert!(!opens("one", &shares).await, "one of two");
    });
}

#[test]
fn what_is_filled_later_opens_once_it_is_filled() {
    let desk = Desk::new();
    let config = desk.config(
        "[envelope.w]\nwrite = { primary = \"a\", fill = [\"b\"] }\n[envelope.r]\nwrite = \"b\"\n",
    );
    let context = EncryptionContext::new();
    block_on(async {
        let (writer, reader) =
            (config.envelope("w").await.unwrap(), config.envelope("r").await.unwrap());
        let sealed = writer.encrypt(b"value", &context).await.unwrap();
        assert!(reader.decrypt(&sealed, &context).await.is_err());
        let header = writer.fill(sealed.as_bytes()).await.unwrap().changed().unwrap();
        let body = &sealed.as_bytes()[parse(sealed.as_bytes()).unwrap().len()..];
        let filled = EncryptedData::from_bytes([&header, body].concat());
        assert_eq!(reader.decrypt(&filled, &context).await.unwrap(), b"value");
    });
}

#[test]
fn the_services_of_a_file_manage_keys() {
    let desk = Desk::new();
    let config = desk.config("");
    block_on(async {
        let admin = config.connect("b").await.unwrap().admin();
        admin.create_key(KeyConfig::new("second")).await.unwrap();
        assert_eq!(admin.list_keys(None, 10).await.unwrap().len(), 2);
        let error = config.connect("d").await.unwrap_err();
        assert!(error.to_string().contains("[kms.d]; there are: a, b, c"), "{error}");
    });
}

#[test]
fn a_file_that_says_what_nobody_understands_is_refused_with_the_place() {
    refused("[kms.a]", "[kms.a] has no uri");
    refused("[kms.a]\nuri = 3", "[kms.a]: uri is a text");
    refused("[kms.a]\nuri = \"s3:x\"", "[kms.a]: an unknown KMS scheme");
    refused("[kms.a]\nuri = \"local:x\"\nregion = \"y\"", "a local KMS has no option region");
    refused(
        "[kms.a]\nuri = \"aws-kms://alias/a\"\nnamespace = \"x\"",
        "aws-kms has no such option",
    );
    refused("[kms.a]\nuri = \"aws-kms://alias/a?region=b\"\nregion = \"b\"", "given twice");
    refused("[kms.a]\nuri = \"local:${HOME_OF_KEYS}\"", "no variable HOME_OF_KEYS");
    refused("[kms.a]\nuri = \"local:$HOME\"", "write ${NAME}");
    refused("[kms.\"a b\"]\nuri = \"local:x\"", "letters, digits");
    refused("[keys.a]\nuri = \"local:x\"", "the file has no keys");
    refused("kms = 1", "write [kms.NAME]");
    refused("[envelope.x]\nopen = []", "has no write");
    refused("[envelope.x]\nwrite = \"a\"", "there is no [kms.a]");
    let kms = "[kms.a]\nuri = \"local:x#k\"\n[envelope.x]\n";
    refused(&format!("{kms}write = \"a\"\nopne = [\"a\"]"), "[envelope.x] has no opne");
    refused(&format!("{kms}write = {{ all = \"a\" }}"), "write all = [");
    refused(&format!("{kms}write = {{ at_least = 1 }}"), "write = \"NAME\"");
    refused(&format!("{kms}write = {{ at_least = -1, of = [\"a\"] }}"), "write = \"NAME\"");
    refused(&format!("{kms}write = {{ primary = \"a\", of = [\"a\"] }}"), "write = \"NAME\"");
    refused(&format!("{kms}write = \"a\"\nhedge_after = \"fast\""), "write a duration");
    refused(&format!("{kms}write = \"a\"\nscope = {{ t = 1 }}"), "a scope has texts");
}

#[test]
fn a_broken_file_is_refused_with_the_line_and_without_what_stands_there() {
    let error = Config::parse("[kms.a]\nuri = \"local:x\"\ntoken = hvs.SECRET", NO_VARIABLES);
    let error = error.unwrap_err();
    assert!(error.to_string().contains("line 3"), "{error}");
    assert!(!format!("{error:?}").contains("SECRET"));
}

#[test]
fn an_envelope_needs_a_key_of_its_services() {
    let desk = Desk::new();
    let text = format!(
        "[kms.a]\nuri = \"local:{}/a\"\n[envelope.x]\nwrite = \"a\"",
        desk.folder.path().display()
    );
    let config = Config::parse(&text, NO_VARIABLES).unwrap();
    let error = block_on(config.envelope("x")).unwrap_err();
    assert!(error.to_string().contains("needs a key of [kms.a]"), "{error}");
}
