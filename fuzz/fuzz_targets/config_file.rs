//! `vaultkit.toml`: what is accepted names only services that it has, and says the same when read again; no
//! error shows what a variable holds.
#![no_main]

use libfuzzer_sys::fuzz_target;
use vaultkit::config::Config;
use vaultkit_fuzz::assert_plain;

const VALUE: &str = "what-the-variable-holds";

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else {
        assert!(Config::read(data, std::path::Path::new("/etc")).is_err());
        return;
    };
    let variable = |name: &str| (name.len() < 6).then(|| VALUE.to_owned());
    let config = match Config::parse(text, variable) {
        Ok(config) => config,
        Err(error) => {
            assert!(!format!("{error} {error:?}").contains(VALUE), "{error}");
            return;
        }
    };
    let again = Config::parse(text, variable).expect("accepted before");
    assert_eq!(format!("{config:?}"), format!("{again:?}"));
    for name in config.kms_names() {
        assert_plain(name);
        assert!(config.kms_uri(name).is_some() && config.kms_uri(name) == again.kms_uri(name));
    }
    for name in config.envelope_names() {
        assert_plain(name);
        let plan = config.envelope_plan(name).expect("it is named");
        let services: Vec<&str> = plan.services().collect();
        assert!(!services.is_empty() && services.iter().all(|kms| config.kms_uri(kms).is_some()));
        assert!(plan.sealed_for().all(|kms| services.contains(&kms)));
        assert!(plan.filled_later().all(|kms| plan.sealed_for().any(|other| other == kms)));
    }
});
