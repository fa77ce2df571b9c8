//! The chunked scheme against its public vectors and another implementation.
