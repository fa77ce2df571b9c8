//! Google Cloud KMS from outside, against the fake service that Google's own client vouches for.
#![expect(clippy::unwrap_used, reason = "helpers of tests, where a panic is the report")]

mod it {
    mod checksums;
    mod cloud_kms;
    mod conformance;
    mod connection;
    mod hostile;
    mod interop;
    mod life;
    mod login_failures;
    mod login_services;
    mod logins;
    mod logs;
    mod names;
    mod outage;
    mod recorded;
    mod rotations;
    mod secrets;
    mod support;
    mod transport;
}
