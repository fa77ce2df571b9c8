//! Tests of the test kit, and of the layers of `vault-crypto-core` with its help.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "helpers of tests may panic")]

mod it {
    mod clock;
    mod conformance;
    #[cfg(feature = "fake-azure")]
    mod fake_azure;
    #[cfg(feature = "fake-google")]
    mod fake_google;
    #[cfg(all(unix, feature = "fake-google", feature = "servers"))]
    mod fake_google_python;
    #[cfg(feature = "fake-google")]
    mod fake_google_recorded;
    mod faults;
    mod flawed;
    mod flawed_admin;
    mod flawed_storage;
    mod fork;
    mod layers_audit;
    mod layers_breaker;
    mod layers_metrics;
    mod layers_rate_limit;
    mod layers_retry;
    mod layers_stack;
    mod layers_telemetry;
    mod layers_timeout;
    mod memory_kms;
    mod provider;
    #[cfg(feature = "proxy")]
    mod proxy;
    #[cfg(feature = "proxy")]
    mod proxy_kms;
    #[cfg(feature = "proxy")]
    mod proxy_kms_server;
    #[cfg(feature = "proxy")]
    mod proxy_support;
    #[cfg(feature = "proxy")]
    mod proxy_transport;
    mod redaction;
    #[cfg(all(unix, feature = "servers"))]
    mod servers;
    #[cfg(all(unix, feature = "servers"))]
    mod servers_aws;
    #[cfg(all(unix, feature = "servers"))]
    mod servers_install;
    #[cfg(all(unix, feature = "servers"))]
    mod servers_up;
    #[cfg(all(unix, feature = "servers"))]
    mod servers_vault;
    mod support;
}
