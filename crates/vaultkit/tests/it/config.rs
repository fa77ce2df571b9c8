//! `vaultkit.toml`: what it says happens, and what it must not say is refused with the place.

use pollster::block_on;
use vaultkit::config::Config;
use vaultkit::core::header::parse;
use vaultkit::core::{EncryptedData, EncryptionContext, KeyConfig};
use vaultkit::kms::local::{LocalKms, LocalKmsConfig};

const NO_VARIABLES: fn(&str) -> Option<String> = |_| None;

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

#[test]
fn a_path_begins_at_the_folder_of_its_file_and_not_where_the_program_runs() {
    let desk = Desk::new();
    let file = desk.folder.path().join("vaultkit.toml");
    let text = "[kms.a]\nuri = \"local:a#default\"\n[kms.b]\nuri = \"local:${HOME}/x\"\n[kms.c]\nuri = \"local:~/x\"\n";
    std::fs::write(&file, text).unwrap();
    let config = Config::load(&file).unwrap();
    let connected = block_on(config.connect("a")).unwrap();
    block_on(connected.kms().describe_key(connected.key().unwrap())).unwrap();
    assert_eq!(config.kms_uri("b"), config.kms_uri("c"), "~ is the home");
}

#[test]
fn an_envelope_tells_who_it_seals_for_and_whom_it_needs() {
    let desk = Desk::new();
    let config = desk.config(
        "[envelope.e]\nwrite = { primary = \"c\", fill = [\"a\"] }\nopen = [\"a\", \"b\"]\nscope = { t = \"1\" }\nhedge_after = \"50ms\"",
    );
    let plan = config.envelope_plan("e").unwrap();
    assert_eq!(plan.name(), "e");
    assert_eq!(plan.sealed_for().collect::<Vec<_>>(), ["c", "a"]);
    assert_eq!(plan.filled_later().collect::<Vec<_>>(), ["a"]);
    assert_eq!(plan.services().collect::<Vec<_>>(), ["c", "a", "b"]);
    assert_eq!(plan.scope().pairs().collect::<Vec<_>>(), [("t", "1")]);
    assert_eq!(plan.hedge_after(), Some(std::time::Duration::from_millis(50)));
    let error = config.envelope_plan("f").unwrap_err();
    assert!(error.to_string().contains("[envelope.f]; there are: e"), "{error}");
    let error = desk.config("").envelope_plan("f").unwrap_err();
    assert!(error.to_string().contains("there are: none"), "{error}");
}
