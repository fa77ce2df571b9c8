//! Which backend runs when the caller names none.

use super::{AeadAlgorithm, AeadBackend};

impl AeadBackend {
    /// The fastest backend of this build on this processor, by this rule:
    ///
    /// 1. AES-GCM on x86-64 with AVX-512, VAES and VPCLMULQDQ: aws-lc-rs;
    /// 2. otherwise ring;
    /// 3. otherwise aws-lc-rs, where ring is not compiled in;
    /// 4. otherwise RustCrypto.
    ///
    /// Measured on an AMD EPYC with AVX-512 (aws-lc-rs, ring, RustCrypto): AES-256-GCM in 16 KiB
    /// chunks under one key 19.1, 9.3 and 3.7 GB/s; a 1 KiB record of
    /// [`XaesKey`](crate::xaes::XaesKey), its key set-up included, 346, 363 and 550 ns; a 64 byte
    /// record 277, 274 and 319 ns. So one rule serves records and bulk, although aws-lc-rs
    /// allocates per key. ChaCha20-Poly1305 is 2.5, 2.5 and 1.1 GB/s; ring's key set-up is the
    /// cheaper of the first two.
    #[must_use]
    pub fn fastest(algorithm: AeadAlgorithm) -> Self {
        #[cfg(feature = "aws-lc-rs")]
        if algorithm != AeadAlgorithm::ChaCha20Poly1305 && wide_vectors() {
            return Self::AwsLcRs;
        }
        narrow(algorithm)
    }
}

#[cfg(feature = "ring")]
const fn narrow(_: AeadAlgorithm) -> AeadBackend {
    AeadBackend::Ring
}

#[cfg(all(feature = "aws-lc-rs", not(feature = "ring")))]
const fn narrow(_: AeadAlgorithm) -> AeadBackend {
    AeadBackend::AwsLcRs
}

#[cfg(not(any(feature = "ring", feature = "aws-lc-rs")))]
const fn narrow(_: AeadAlgorithm) -> AeadBackend {
    AeadBackend::RustCrypto
}

/// Whether the processor has AES and carry-less multiplication on 512-bit vectors. The standard
/// library asks it once and remembers.
#[cfg(feature = "aws-lc-rs")]
fn wide_vectors() -> bool {
    #[cfg(target_arch = "x86_64")]
    {
        std::is_x86_feature_detected!("avx512f")
            && std::is_x86_feature_detected!("vaes")
            && std::is_x86_feature_detected!("vpclmulqdq")
    }
    #[cfg(not(target_arch = "x86_64"))]
    false
}
