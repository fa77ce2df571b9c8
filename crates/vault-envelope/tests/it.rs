//! The integration tests of the envelope, one binary.

mod it {
    mod compact;
    mod hostile;
    mod interop;
    mod records;
    mod rewrap;
    mod streams;
    mod support;
}
