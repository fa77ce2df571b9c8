//! Kind 8: a slot for an X25519 public key, by HPKE (RFC 9180) in base mode, one shot
//! (docs/FORMAT.md section 6.6).

use std::convert::Infallible;

use hpke::aead::AesGcm256;
use hpke::kdf::HkdfSha256;
use hpke::kem::X25519HkdfSha256;
use hpke::rand_core::{TryCryptoRng, TryRng};
use hpke::{Deserializable, Kem, OpModeR, OpModeS, Serializable};
use sha2::{Digest as _, Sha256};
use vault_crypto_core::header::{Binding, Slot, SlotKind};
use vault_crypto_core::{
    CryptoError, ErrorKind, Operation, RandomSource, Result, SecureBytes, SystemRandom,
};
use zeroize::Zeroizing;

use super::bech32::Form;
use super::{bound, new_slot};
use crate::slot_key::SlotFacts;

type Suite = X25519HkdfSha256;

/// RFC 9180, section 7: the KEM, the KDF and the AEAD of a slot.
const KEM_ID: [u8; 2] = <Suite as Kem>::KEM_ID.to_be_bytes();
const PARAMETERS: [u8; 6] = [KEM_ID[0], KEM_ID[1], 0, 1, 0, 2];
const KEY_LEN: usize = 32;
const ENC_LEN: usize = 32;
/// 2^255 - 19, the field's prime, little-endian.
const PRIME: [u8; KEY_LEN] = {
    let mut prime = [0xff; KEY_LEN];
    prime[0] = 0xed;
    prime[KEY_LEN - 1] = 0x7f;
    prime
};

const PUBLIC: Form = Form { prefix: "vkpub1", capitals: false };
const PRIVATE: Form = Form { prefix: "VK-SECRET-KEY-1", capitals: true };

/// An X25519 public key that is canonical and has no low order.
#[derive(Clone)]
pub(super) struct HpkePublic {
    bytes: [u8; KEY_LEN],
    id: [u8; 32],
}

impl HpkePublic {
    /// Refuses points under which everybody computes the same secret, and second encodings.
    pub(super) fn new(bytes: [u8; KEY_LEN]) -> Result<Self> {
        let canonical = bytes.iter().rev().lt(PRIME.iter().rev());
        let key = <Suite as Kem>::PublicKey::from_bytes(&bytes).map_err(|_| invalid(UNUSABLE))?;
        // A scalar of X25519 is a multiple of 8, so every point of low order gives zero, which the
        // encapsulation refuses (RFC 9180, section 7.1.4). No secret is in this trial.
        let mut trial = Drawn::of([1; KEY_LEN]);
        if !canonical || Suite::encap_with_rng(&key, None, &mut trial).is_err() {
            return Err(invalid(UNUSABLE));
        }
        Ok(Self { bytes, id: Sha256::digest(bytes).into() })
    }

    /// The key of `text`, `None` if it is of another sort.
    pub(super) fn from_text(text: &str) -> Option<Result<Self>> {
        text.starts_with(PUBLIC.prefix).then(|| Self::new(key_of(PUBLIC, text)?))
    }

    pub(super) fn to_text(&self) -> Zeroizing<String> {
        PUBLIC.encode(&[KEM_ID.as_slice(), &self.bytes].concat())
    }

    pub(super) fn id(&self) -> [u8; 32] {
        self.id
    }

    pub(super) fn seal_slot(
        &self,
        payload: &SecureBytes,
        facts: &SlotFacts<'_>,
        random: &dyn RandomSource,
    ) -> Result<Slot> {
        let failed = || {
            CryptoError::new(ErrorKind::Internal, Operation::Seal)
                .with_detail("encrypting to a public key failed")
        };
        let mut slot = new_slot(SlotKind::HPKE, &self.id, &PARAMETERS, facts);
        let key = <Suite as Kem>::PublicKey::from_bytes(&self.bytes).map_err(|_| failed())?;
        let mut drawn = Drawn::from(random)?;
        let (enc, ciphertext) = hpke::single_shot_seal_with_rng::<AesGcm256, HkdfSha256, Suite>(
            &OpModeS::Base,
            &key,
            &facts.wrap.binding(),
            payload.as_slice(),
            &bound(&slot, facts)?,
            &mut drawn,
        )
        .map_err(|_| failed())?;
        if drawn.overdrawn {
            return Err(failed());
        }
        slot.wrapped = [enc.to_bytes().as_slice(), &ciphertext].concat();
        Ok(slot)
    }
}

/// An X25519 private key, wiped on drop.
pub(super) struct HpkePrivate {
    bytes: SecureBytes,
    public: HpkePublic,
}

impl HpkePrivate {
    pub(super) fn generate() -> Result<Self> {
        let mut bytes = Zeroizing::new([0; KEY_LEN]);
        SystemRandom::new().fill(bytes.as_mut_slice())?;
        Self::new(&bytes)
    }

    /// Takes any 32 bytes; RFC 7748, section 5 sets some of their bits.
    pub(super) fn new(bytes: &[u8; KEY_LEN]) -> Result<Self> {
        let key = <Suite as Kem>::PrivateKey::from_bytes(bytes).map_err(|_| invalid(UNUSABLE))?;
        let mut clamped = SecureBytes::zeroed(KEY_LEN);
        key.write_exact(clamped.as_mut_slice());
        let public = HpkePublic::new(Suite::sk_to_pk(&key).to_bytes().into())?;
        Ok(Self { bytes: clamped, public })
    }

    /// The key of `text`, `None` if it is of another sort.
    pub(super) fn from_text(text: &str) -> Option<Result<Self>> {
        text.starts_with(PRIVATE.prefix).then(|| Self::new(&Zeroizing::new(key_of(PRIVATE, text)?)))
    }

    pub(super) fn to_text(&self) -> Zeroizing<String> {
        let mut data = Zeroizing::new(Vec::with_capacity(KEM_ID.len() + KEY_LEN));
        data.extend_from_slice(&KEM_ID);
        data.extend_from_slice(self.bytes.as_slice());
        PRIVATE.encode(&data)
    }

    pub(super) fn public(&self) -> &HpkePublic {
        &self.public
    }

    /// A slot with other identifiers is not understood, and skipped.
    pub(super) fn matches(&self, slot: &Slot) -> bool {
        slot.kind == SlotKind::HPKE
            && slot.binding == Binding::Mac
            && slot.parameters == PARAMETERS
            && slot.key_id == self.public.id
    }

    pub(super) fn open_slot(&self, slot: &Slot, facts: &SlotFacts<'_>) -> Result<SecureBytes> {
        let failed = || CryptoError::authentication_failed(Operation::Open);
        let (enc, ciphertext) = slot.wrapped.split_at_checked(ENC_LEN).ok_or_else(failed)?;
        let enc = <Suite as Kem>::EncappedKey::from_bytes(enc).map_err(|_| failed())?;
        let key = <Suite as Kem>::PrivateKey::from_bytes(self.bytes.as_slice());
        hpke::single_shot_open::<AesGcm256, HkdfSha256, Suite>(
            &OpModeR::Base,
            &key.map_err(|_| failed())?,
            &enc,
            &facts.wrap.binding(),
            ciphertext,
            &bound(slot, facts)?,
        )
        .map(SecureBytes::new)
        .map_err(|_| failed())
    }
}

/// The key behind a KEM identifier that is ours.
fn key_of(form: Form, text: &str) -> Result<[u8; KEY_LEN]> {
    let data = form.decode(text).ok_or_else(|| invalid(MISTYPED))?;
    let (kem, key) =
        data.as_slice().split_at_checked(KEM_ID.len()).ok_or_else(|| invalid(MISTYPED))?;
    if kem != KEM_ID {
        return Err(CryptoError::new(ErrorKind::Unsupported, Operation::Configure)
            .with_detail("a key of a sort that this version does not have"));
    }
    <[u8; KEY_LEN]>::try_from(key).map_err(|_| invalid(MISTYPED))
}

const UNUSABLE: &str = "not a usable X25519 key";
const MISTYPED: &str = "not a whole key: its check letters do not fit; copy it again";

fn invalid(why: &'static str) -> CryptoError {
    CryptoError::new(ErrorKind::InvalidInput, Operation::Configure).with_detail(why)
}

/// Random bytes drawn before the KEM asks, which has no way to hear that there are none.
struct Drawn {
    bytes: Zeroizing<[u8; KEY_LEN]>,
    left: usize,
    overdrawn: bool,
}

impl Drawn {
    fn from(random: &dyn RandomSource) -> Result<Self> {
        let mut drawn = Self::of([0; KEY_LEN]);
        random.fill(drawn.bytes.as_mut_slice())?;
        Ok(drawn)
    }

    fn of(bytes: [u8; KEY_LEN]) -> Self {
        Self { bytes: Zeroizing::new(bytes), left: KEY_LEN, overdrawn: false }
    }
}

impl TryRng for Drawn {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        let mut bytes = [0; 4];
        self.try_fill_bytes(&mut bytes)?;
        Ok(u32::from_le_bytes(bytes))
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        let mut bytes = [0; 8];
        self.try_fill_bytes(&mut bytes)?;
        Ok(u64::from_le_bytes(bytes))
    }

    fn try_fill_bytes(&mut self, out: &mut [u8]) -> Result<(), Infallible> {
        let fresh = self.bytes.get(KEY_LEN - self.left..).unwrap_or_default();
        self.overdrawn |= fresh.len() < out.len();
        out.iter_mut().zip(fresh).for_each(|(to, from)| *to = *from);
        self.left = self.left.saturating_sub(out.len());
        Ok(())
    }
}

impl TryCryptoRng for Drawn {}

#[cfg(test)]
mod tests {
    use super::*;

    fn array(text: &str) -> [u8; KEY_LEN] {
        hex::decode(text).unwrap().try_into().unwrap()
    }

    /// RFC 9180, appendix A.1.1: the wiring of the library (info, associated data, order of parts).
    #[test]
    fn the_library_opens_rfc_9180_a_1_1() {
        use hpke::aead::AesGcm128;
        let private = "4612c550263fc8ad58375df3f557aac531d26850903e55a9f23f21d8534e8ac8";
        let enc = "37fda3567bdbd628e88668c3c8d7e97d1d1253b6d4ea6d44c150f741f1bf4431";
        let ciphertext = "f938558b5d72f1a23810b4be2ab4f84331acc02fc97babc53a52ae8218a355a9\
                          6d8770ac83d07bea87e13c512a";
        let private = <Suite as Kem>::PrivateKey::from_bytes(&array(private)).unwrap();
        let enc = <Suite as Kem>::EncappedKey::from_bytes(&array(enc)).unwrap();
        let opened = hpke::single_shot_open::<AesGcm128, HkdfSha256, Suite>(
            &OpModeR::Base,
            &private,
            &enc,
            b"Ode on a Grecian Urn",
            &hex::decode(ciphertext).unwrap(),
            b"Count-0",
        );
        assert_eq!(opened.unwrap(), b"Beauty is truth, truth beauty");
    }

    #[test]
    fn the_parameters_are_the_library_s_identifiers() {
        use hpke::aead::Aead;
        use hpke::kdf::Kdf;
        let ids = [Suite::KEM_ID, HkdfSha256::KDF_ID, AesGcm256::AEAD_ID];
        assert_eq!(PARAMETERS.as_slice(), ids.map(u16::to_be_bytes).concat());
    }

    /// The points of order 1, 2, 4 and 8 on the curve and its twist, and their second encodings.
    #[test]
    fn points_of_low_order_and_second_encodings_are_refused() {
        let low = [
            "0000000000000000000000000000000000000000000000000000000000000000",
            "0100000000000000000000000000000000000000000000000000000000000000",
            "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
            "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
            "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
            "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
            "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        ];
        for point in low {
            let error = HpkePublic::new(array(point)).err().expect("refused");
            assert_eq!(error.kind(), ErrorKind::InvalidInput, "{point}");
        }
        let good = HpkePrivate::generate().unwrap().public().bytes;
        assert!(HpkePublic::new(good).is_ok());
        let mut second = good;
        second[31] |= 0x80;
        assert!(HpkePublic::new(second).is_err());
        // 2^255 - 19 + 9 is the base point 9 again.
        let mut nine = [0; KEY_LEN];
        nine[0] = 9;
        assert!(HpkePublic::new(nine).is_ok());
        let mut again = PRIME;
        again[0] += 9;
        assert!(HpkePublic::new(again).is_err());
    }

    #[test]
    fn randomness_that_runs_out_is_noticed() {
        let mut drawn = Drawn::of([3; KEY_LEN]);
        let mut out = [0; 30];
        let Ok(()) = drawn.try_fill_bytes(&mut out);
        assert_eq!((out, drawn.overdrawn), ([3; 30], false));
        let Ok(_) = drawn.try_next_u32();
        assert!(drawn.overdrawn);
    }
}
