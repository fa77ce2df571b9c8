//! Which backend runs when the caller names none.

use super::{AeadAlgorithm, AeadBackend};

impl AeadBackend {
    /// The fastest backend of this build for small messages, each under a key of its own, where
    /// setting up the key costs as much as the encryption.
    #[must_use]
    pub fn fastest_for_records(algorithm: AeadAlgorithm) -> Self {
        let _ = algorithm;
        #[cfg(feature = "ring")]
        return Self::Ring;
        #[cfg(all(feature = "aws-lc-rs", not(feature = "ring")))]
        return Self::AwsLcRs;
        #[cfg(not(any(feature = "ring", feature = "aws-lc-rs")))]
        Self::RustCrypto
    }

    /// The fastest backend of this build for long messages, many kilobytes under one key.
    #[must_use]
    pub fn fastest_for_bulk(algorithm: AeadAlgorithm) -> Self {
        let _ = algorithm;
        #[cfg(feature = "aws-lc-rs")]
        if wide_vectors() {
            return Self::AwsLcRs;
        }
        Self::fastest_for_records(algorithm)
    }
}

/// Whether the processor has AES and carry-less multiplication on 512-bit vectors.
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
