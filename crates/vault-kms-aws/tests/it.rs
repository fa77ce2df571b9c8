//! AWS KMS, held to the contracts against LocalStack and local-kms.
//!
//! What neither of them has is shown otherwise: key material ids by an edited answer, lists of rotations by
//! unit tests and by moto. None of them checks a signature or a right; what those refusals look like is
//! answered by the fault proxy.
#![expect(clippy::unwrap_used, reason = "helpers of tests, where a panic is the report")]

mod it {
    mod conformance;
    mod creation;
    mod endpoints;
    mod environment;
    mod faults;
    mod identity;
    mod interop;
    mod lists;
    mod logs;
    mod names;
    mod outage;
    mod recorded;
    mod refusals;
    mod renewal;
    mod rewrap;
    mod support;
    mod versions;
}
