//! The program's tests: what it does, how it ends, and what it leaves behind when it is killed.

#![cfg(unix)]

#[cfg(test)]
mod it {
    mod bad_input;
    #[cfg(feature = "clouds")]
    mod clouds;
    mod damage;
    mod envelopes;
    mod exit_codes;
    mod identities;
    mod interrupt;
    mod json;
    mod key_store;
    mod keys;
    mod output;
    mod readme;
    mod recipients;
    mod seal_and_open;
    mod secrets;
    mod services;
    mod support;
}
