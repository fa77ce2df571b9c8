//! The stack after secrets were on it.

use vault_crypto_core::wipe_stack;

/// Leaves a secret in a dead frame and says where.
#[inline(never)]
fn leave_on_the_stack() -> usize {
    let secret = std::hint::black_box([0xC3_u8; 1_024]);
    std::ptr::from_ref(&secret).expose_provenance()
}

#[expect(unsafe_code, reason = "looks into a dead frame of its own stack")]
fn still_holds_the_secret(address: usize) -> bool {
    let place = std::ptr::with_exposed_provenance::<u8>(address);
    // SAFETY: mapped stack below the caller's frame, read a byte at a time.
    (0..1_024).any(|index| unsafe { place.add(index).read_volatile() } == 0xC3)
}

#[test]
fn a_wiped_stack_holds_nothing_of_the_frames_before() {
    let address = leave_on_the_stack();
    assert!(still_holds_the_secret(address), "the frame was not where this test looks");
    wipe_stack();
    assert!(!still_holds_the_secret(address));
}
