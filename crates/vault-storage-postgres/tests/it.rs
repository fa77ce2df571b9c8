//! The store in PostgreSQL from outside, over a real server: its contract, its table, and a server that
//! goes away. The server is started by the tests; where it is missing, they fail and say what helps.
#![expect(clippy::unwrap_used, reason = "helpers of tests, where a panic is the report")]

mod it {
    mod conformance;
    mod faults;
    mod support;
    mod table;
}
