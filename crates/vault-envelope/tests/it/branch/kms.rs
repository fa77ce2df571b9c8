//! A branch key as a KMS: slots of kind 6, streams without a call, a hierarchy with a root.

use std::sync::Arc;

use vault_crypto_core::header::{Binding, SlotKind, parse};
use vault_crypto_core::{
    ErrorKind, KeyId, KeyVersion, KmsProvider as _, Scope, SecureBytes, WrapContext, WrapKind,
    WrappedKey,
};
use vault_envelope::{BranchKeys, BranchKms, EnvelopeEncryption};

use super::support::World;
use crate::it::support::{context, kind_of};

fn root(world: &World) -> (Arc<BranchKms>, KeyId) {
    let root = world.process().branch_kms().unwrap();
    let key = root.key_id().clone();
    (Arc::new(root), key)
}

fn wrap_context() -> WrapContext {
    WrapContext::data_key(Scope::new([("tenant", "acme")]).unwrap())
}

#[test]
fn its_key_is_the_branch_and_its_slots_are_of_kind_6() {
    let world = World::new();
    let (kms, key) = root(&world);
    assert_eq!(key.as_str().len(), 32);
    let envelope = EnvelopeEncryption::builder(kms, key.clone()).build().unwrap();
    let mut stream = Vec::new();
    let sealer = world.clock.run(envelope.seal_stream(&context(), Some(5))).unwrap();
    let mut writer = sealer.into_writer(&mut stream).unwrap();
    std::io::Write::write_all(&mut writer, b"value").unwrap();
    writer.finish().unwrap();
    let header = parse(&stream).unwrap().header;
    let slot = &header.slots[0];
    assert_eq!((slot.kind, slot.binding), (SlotKind::BRANCH, Binding::Kms));
    assert_eq!((slot.key_id_text(), slot.version.as_str()), (key.to_string(), "1"));
    assert_eq!(slot.wrapped.len(), 104);
    let calls = world.kms.calls().total();
    for _ in 0..10 {
        let opened = world.clock.run(envelope.open_whole(stream.as_slice(), &context(), 100));
        assert_eq!(opened.unwrap().as_slice(), b"value");
    }
    assert_eq!(world.kms.calls().total(), calls);
}

#[test]
fn wrapped_bytes_are_what_the_specification_says() {
    use vault_crypto_core::aead::{AeadAlgorithm, AeadBackend};
    use vault_crypto_core::derive::BranchKey;
    use vault_crypto_core::xaes::XaesKey;
    let world = World::new();
    let (kms, key) = root(&world);
    let payload = SecureBytes::new((0..32).collect());
    let wrapped = world.clock.run(kms.wrap_data_key(&key, &payload, &wrap_context())).unwrap();
    // The branch key itself, as the KMS wraps it in the entry.
    let process = world.process();
    let slot = parse(&world.entry(process.scope(), 1)).unwrap().header.slots[0].clone();
    let of_entry = WrappedKey::new(slot.wrapped, world.key.clone(), slot.version);
    let role = WrapContext::new(WrapKind::BranchKey, process.scope().clone());
    let branch = world.clock.run(world.kms.decrypt_data_key(&of_entry, &role)).unwrap();
    let branch: [u8; 32] = branch.as_slice().try_into().unwrap();
    let wrap_key = BranchKey::new(&branch).wrap_key();
    let key = XaesKey::new(&wrap_key, AeadBackend::fastest(AeadAlgorithm::Aes256Gcm));
    let bound = [wrap_context().binding().as_slice(), &1_u32.to_be_bytes()].concat();
    assert_eq!(key.open_whole(&bound, &wrapped.bytes).unwrap(), payload);
}

#[test]
fn it_wraps_and_unwraps_as_a_kms_does() {
    let world = World::new();
    let (kms, key) = root(&world);
    let run = |wrapped: &WrappedKey, context: &WrapContext| {
        world.clock.run(kms.decrypt_data_key(wrapped, context))
    };
    let made = world.clock.run(kms.generate_data_key(&key, &wrap_context())).unwrap();
    let again = world.clock.run(kms.generate_data_key(&key, &wrap_context())).unwrap();
    assert_ne!(made.plaintext(), again.plaintext());
    let wrapped = made.wrapped().clone();
    assert_eq!(run(&wrapped, &wrap_context()).unwrap(), *made.plaintext());

    let other_scope = WrapContext::data_key(Scope::empty());
    let other_kind = WrapContext::new(WrapKind::BranchKey, wrap_context().scope);
    for context in [other_scope, other_kind] {
        assert_eq!(kind_of(run(&wrapped, &context)), ErrorKind::AuthenticationFailed);
    }
    let mut altered = wrapped.clone();
    altered.bytes[60] ^= 1;
    assert_eq!(kind_of(run(&altered, &wrap_context())), ErrorKind::AuthenticationFailed);
    for version in ["2", "01", "0", "x", "4294967296"] {
        let mut other = wrapped.clone();
        other.version = KeyVersion::new(version).unwrap();
        assert_eq!(kind_of(run(&other, &wrap_context())), ErrorKind::KeyNotFound, "{version}");
    }
    let mut elsewhere = wrapped.clone();
    elsewhere.key_id = KeyId::from("another");
    assert_eq!(kind_of(run(&elsewhere, &wrap_context())), ErrorKind::KeyNotFound);
    for len in [0, 4_097] {
        let payload = SecureBytes::zeroed(len);
        let refused = world.clock.run(kms.wrap_data_key(&key, &payload, &wrap_context()));
        assert_eq!(kind_of(refused), ErrorKind::InvalidInput);
    }
}

#[test]
fn after_a_rotation_it_unwraps_both_and_rewraps_to_the_new_version() {
    let world = World::new();
    let (kms, key) = root(&world);
    let made = world.clock.run(kms.generate_data_key(&key, &wrap_context())).unwrap();
    assert_eq!(world.clock.run(world.process().rotate_branch()).unwrap(), 2);
    world.clock.advance(std::time::Duration::from_secs(301));
    let info = world.clock.run(kms.describe_key(&key)).unwrap();
    assert_eq!(info.primary_version, Some(KeyVersion::from(2)));
    let old = made.wrapped();
    let new = world.clock.run(kms.rewrap_data_key(old, &key, &wrap_context())).unwrap();
    assert_eq!(new.version, KeyVersion::from(2));
    let mut forgotten = new.clone();
    forgotten.version = KeyVersion::unknown();
    let mut old_forgotten = old.clone();
    old_forgotten.version = KeyVersion::unknown();
    for wrapped in [old, &new, &forgotten, &old_forgotten] {
        let opened = world.clock.run(kms.decrypt_data_key(wrapped, &wrap_context()));
        assert_eq!(opened.unwrap(), *made.plaintext());
    }
}

#[test]
fn wrapped_bytes_without_a_version_cost_a_bounded_number_of_unwraps() {
    let world = World::new();
    let (kms, key) = root(&world);
    let made = world.clock.run(kms.generate_data_key(&key, &wrap_context())).unwrap();
    let rotator = world.process();
    for version in 2..=20 {
        assert_eq!(world.clock.run(rotator.rotate_branch()).unwrap(), version);
    }
    let (fresh, _) = root(&world);
    let mut forgotten = made.wrapped().clone();
    forgotten.version = KeyVersion::unknown();
    let before = world.kms.calls().total();
    let refused = world.clock.run(fresh.decrypt_data_key(&forgotten, &wrap_context()));
    assert_eq!(kind_of(refused), ErrorKind::AuthenticationFailed);
    assert_eq!(world.kms.calls().total() - before, 8);
    // Whoever names it needs one.
    let opened = world.clock.run(fresh.decrypt_data_key(made.wrapped(), &wrap_context()));
    assert_eq!(opened.unwrap(), *made.plaintext());
    assert_eq!(world.kms.calls().total() - before, 9);
}

#[test]
fn small_payloads_are_bound_to_their_scope_and_are_no_wrapped_keys() {
    let world = World::new();
    let (kms, key) = root(&world);
    let scope = Scope::new([("tenant", "acme")]).unwrap();
    let sealed = world.clock.run(kms.encrypt(&key, b"payload", &scope)).unwrap();
    let opened = world.clock.run(kms.decrypt(&key, &sealed, &scope)).unwrap();
    assert_eq!(opened, b"payload");
    let other = world.clock.run(kms.decrypt(&key, &sealed, &Scope::empty()));
    assert_eq!(kind_of(other), ErrorKind::AuthenticationFailed);
    let as_key = WrappedKey::new(sealed, key.clone(), KeyVersion::from(1));
    let context = WrapContext::data_key(scope);
    let refused = world.clock.run(kms.decrypt_data_key(&as_key, &context));
    assert_eq!(kind_of(refused), ErrorKind::AuthenticationFailed);
}

#[test]
fn branches_under_a_root_cost_no_call_and_follow_its_rotation_by_rewrapping() {
    let world = World::new();
    let tenants = |world: &World| {
        let (kms, key) = root(world);
        EnvelopeEncryption::builder(kms, key)
            .clock(Arc::new(world.clock.clone()))
            .branch_keys(BranchKeys::new(world.storage.clone()))
            .build()
            .unwrap()
    };
    let one = tenants(&world);
    let acme = one.scoped([("tenant", "acme")]).unwrap();
    let sealed = world.seal(&acme);
    let calls = world.kms.calls().total();
    world.seal(&one.scoped([("tenant", "zenith")]).unwrap());
    assert_eq!(world.kms.calls().total(), calls);

    world.clock.run(world.process().rotate_branch()).unwrap();
    let other = tenants(&world);
    let counts = world.clock.run(other.rewrap_branches(|_| ())).unwrap();
    // The two versions of the root are wrapped by the KMS and are none of this envelope's.
    assert_eq!((counts.moved, counts.failed, counts.elsewhere), (2, 0, 2));
    let header = world.entry(acme.scope(), 1);
    let header = parse(&header).unwrap().header;
    assert_eq!(header.slots[0].version, KeyVersion::from(2));
    let reader = tenants(&world).scoped([("tenant", "acme")]).unwrap();
    assert!(world.opens(&reader, &sealed));
}
