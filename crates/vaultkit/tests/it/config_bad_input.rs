//! What must not stand in `vaultkit.toml`, or not there: refused with the place, without what stands there, and
//! before much is done for it.

use vaultkit::config::Config;
use vaultkit::core::ErrorKind;

const NO_VARIABLES: fn(&str) -> Option<String> = |_| None;

fn refused(text: &str, sentence: &str) {
    let error = Config::parse(text, NO_VARIABLES).expect_err(text);
    assert_eq!(error.kind(), ErrorKind::InvalidInput, "{text}");
    assert!(error.to_string().contains(sentence), "{text}: {error}");
}

#[test]
fn a_file_that_says_what_nobody_understands_is_refused_with_the_place() {
    refused("[kms.a]", "[kms.a]: it has no uri");
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
    refused("[envelope.x]\nopen = []", "[envelope.x]: it has no write");
    refused("[envelope.x]\nwrite = \"a\"", "there is no [kms.a]");
    let kms = "[kms.a]\nuri = \"local:x#k\"\n[envelope.x]\n";
    refused(&format!("{kms}write = \"a\"\nopne = [\"a\"]"), "[envelope.x]: it has no opne");
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
fn a_name_given_twice_is_refused_wherever_it_stands() {
    for text in [
        "[kms.a]\nuri = \"local:x\"\n[kms.a]\nuri = \"local:y\"",
        "[kms.a]\nuri = \"local:x\"\nuri = \"local:y\"",
        "[kms]\na = { uri = \"local:x\" }\n[kms.a]\nuri = \"local:y\"",
    ] {
        refused(text, "says again");
    }
}

#[test]
fn one_holder_is_written_to_once() {
    let kms = "[kms.a]\nuri = \"local:x#k\"\n[kms.b]\nuri = \"local:x#k\"\n[kms.c]\nuri = \"local:y#k\"\n[envelope.e]\n";
    for write in [
        "{ threshold = 2, of = [\"a\", \"b\"] }",
        "{ threshold = 2, of = [\"a\", \"c\", \"a\"] }",
        "{ all = [\"c\", \"c\"] }",
        "{ primary = \"c\", fill = [\"c\"] }",
    ] {
        refused(&format!("{kms}write = {write}"), "one key twice");
    }
    refused(&format!("{kms}write = {{ all = [] }}"), "[envelope.e]: it writes to nobody");
    refused(&format!("{kms}write = {{ at_least = 0, of = [\"a\"] }}"), "1 to 1 can be needed");
    refused(&format!("{kms}write = {{ threshold = 3, of = [\"a\", \"c\"] }}"), "1 to 2 can be");
    refused(&format!("{kms}write = \"a\"\nopen = [\"z\"]"), "there is no [kms.z]");
    let good =
        format!("{kms}write = {{ threshold = 2, of = [\"a\", \"c\"] }}\nopen = [\"a\", \"b\"]");
    Config::parse(&good, NO_VARIABLES).unwrap();
}

#[test]
fn a_name_with_a_dot_is_written_in_quotes() {
    refused("[kms.a.b]\nuri = \"local:x\"", "is written [kms.\"a.b\"]");
    refused("[kms.a]\nuri = \"local:x\"\nb.c = \"d\"", "[kms.\"a.b\"]");
    let config = Config::parse("[kms.\"a.b\"]\nuri = \"local:x\"", NO_VARIABLES).unwrap();
    assert!(config.kms_uri("a.b").is_some());
}

#[test]
fn no_secret_stands_in_the_file_and_none_is_repeated() {
    let vault = "[kms.a]\nuri = \"hcvault://v.example/transit/k\"\n";
    for secret in ["token = \"hvs.SECRET\"", "secret_id = \"SECRET\"", "namespace = \"SECRET\\n\""]
    {
        let error = Config::parse(&format!("{vault}{secret}"), NO_VARIABLES).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        assert!(!format!("{error}{error:?}").contains("SECRET"), "{error}");
    }
    refused(&format!("{vault}token = \"x\""), "token_file names a file with it");
    refused("[kms.a]\nuri = \"hcvault://SECRET@v.example/transit/k\"", "[kms.a]: write hcvault");
    refused(
        "[kms.a]\nuri = \"aws-kms://alias/k\"\nendpoint = \"https://a:SECRET@kms.example\"",
        "without a login",
    );
}

#[test]
fn nothing_that_is_said_moves_the_cursor() {
    let strange = "\\u001b[2Jx";
    for text in [
        format!("\"{strange}\" = 1"),
        format!("[kms.a]\nuri = \"local:x\"\n\"{strange}\" = \"y\""),
        format!("[kms.a]\nuri = \"aws-kms://alias/k\"\n\"{strange}\" = [1]"),
        format!("[kms.a]\nuri = \"aws-kms://alias/k\"\nregion = \"{strange}\""),
        format!("[kms.a]\nuri = \"aws-kms://alias/{strange}\""),
        format!("[kms.a]\nuri = \"local:${{{strange}}}\""),
        format!("[kms.\"{strange}\"]\nuri = \"local:x\""),
        format!("[kms.a]\nuri = \"local:x\"\n[envelope.e]\nwrite = \"{strange}\""),
        format!("[kms.a]\nuri = \"local:x\"\n[envelope.e]\nwrite = \"a\"\n\"{strange}\" = 1"),
    ] {
        let error = Config::parse(&text, NO_VARIABLES).expect_err(&text).to_string();
        assert!(!error.contains('\u{1b}'), "{error:?}");
    }
}

#[test]
fn depth_and_length_have_an_end_before_stack_and_memory() {
    let deep = |open: &str, close: &str, count: usize| {
        format!("a = {}1{}", open.repeat(count), close.repeat(count))
    };
    for text in [
        deep("[", "]", 100_000),
        deep("{a=", "}", 60_000),
        format!("{}b = 1", "a.".repeat(120_000)),
        format!("[{}b]", "a.".repeat(120_000)),
        // As deep as the parser goes.
        deep(&format!("{{{}a=", "a.".repeat(78)), "}", 78),
        // What the parser itself throws away.
        format!("{0}\n{0}", deep(&format!("{{{}a=", "a.".repeat(78)), "}", 78)),
        format!("{}\n]", deep(&format!("{{{}a=", "a.".repeat(78)), "}", 78)),
        deep("[", "]", 79),
    ] {
        // A thread with little stack, as a caller may have.
        let parsed = std::thread::Builder::new()
            .stack_size(2 << 20)
            .spawn(move || Config::parse(&text, NO_VARIABLES).map(drop).unwrap_err().kind());
        assert_eq!(parsed.unwrap().join().unwrap(), ErrorKind::InvalidInput);
    }
    refused(&"#".repeat((256 << 10) + 1), "256 KiB");
    let folder = tempfile::tempdir().unwrap();
    let error = Config::read(std::io::repeat(b'#'), folder.path()).unwrap_err();
    assert!(error.to_string().contains("256 KiB"), "{error}");
    let error = Config::read(&b"\xff\xfe"[..], folder.path()).unwrap_err();
    assert!(error.to_string().contains("not UTF-8"), "{error}");
    let error = Config::load(folder.path().join("none")).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Io);
}

#[test]
fn a_variable_is_taken_as_it_is_and_only_so_often() {
    let text =
        "[kms.a]\nuri = \"local:/k\"\n[envelope.e]\nwrite = \"a\"\nscope = { t = \"${X}$$\" }";
    let config = Config::parse(text, |_| Some("${Y}".to_owned())).unwrap();
    let plan = config.envelope_plan("e").unwrap();
    assert_eq!(plan.scope().pairs().collect::<Vec<_>>(), [("t", "${Y}$")]);
    let long = format!("[kms.a]\nuri = \"local:{}\"", "${X}".repeat(40_000));
    let error = Config::parse(&long, |_| Some("x".repeat(1_000))).unwrap_err();
    assert!(error.to_string().contains("[kms.a]: a text has at most 64 KiB"), "{error}");
    for name in ["${}", "${A-B}", "${A", "$", "${A B}"] {
        refused(&format!("[kms.a]\nuri = \"local:{name}\""), "write ${NAME}");
    }
    // What a variable brings is checked like what stands there.
    let text = "[kms.a]\nuri = \"aws-kms://alias/k\"\nregion = \"${R}\"";
    let error = Config::parse(text, |_| Some("eu-west-1\r\nx: y".to_owned())).unwrap_err();
    assert!(error.to_string().contains("control characters"), "{error}");
}

#[cfg(feature = "aws")]
#[test]
fn an_option_that_its_service_refuses_is_told_with_the_place() {
    let text = "[kms.a]\nuri = \"aws-kms://alias/k\"\nfips = \"maybe\"";
    let config = Config::parse(text, NO_VARIABLES).unwrap();
    let error = pollster::block_on(config.connect("a")).unwrap_err();
    assert!(error.to_string().contains("[kms.a]: the option fips is true or false"), "{error}");
}
