//! Changing who may open: the slots of a header change, its epoch grows, its MAC is new, and the body
//! stays. Shares are never added to: a threshold message is dealt anew to all.

use vault_crypto_core::header::{Header, MAX_SLOTS, ParsedHeader, Slot, parse};
use vault_crypto_core::{CryptoError, ErrorKind, Operation, Result, Scope};

use super::{Recipient, Recipients, SlotSelector, Who, deal_slots};
use crate::EnvelopeEncryption;
use crate::allowed::Match;
use crate::rewrap::alignment;
use crate::unlock::{Opened, Slots};

impl EnvelopeEncryption {
    /// Adds a slot for `recipient`; what follows the header in `bytes` is not looked at. With shares
    /// all are dealt anew, for which this envelope must seal for everybody who has one.
    ///
    /// # Errors
    /// As [`decrypt`](Self::decrypt), or the new KMS's error; [`ErrorKind::PermissionDenied`] on a
    /// SHARED data key, which takes [`add_recipient_shared`](Self::add_recipient_shared);
    /// [`ErrorKind::Conflict`] where the recipient has a slot; [`ErrorKind::LimitExceeded`] beyond 16
    /// slots or at the last epoch; [`ErrorKind::KeyNotAllowed`] where somebody who has a share is none of
    /// this envelope's recipients.
    pub async fn add_recipient(&self, bytes: &[u8], recipient: &Recipient) -> Result<Vec<u8>> {
        self.add_parsed(&parse(bytes)?, recipient, false).await
    }

    /// As [`add_recipient`](Self::add_recipient), for a SHARED data key: this opens *every* message of
    /// that data key in `scope` to the recipient.
    ///
    /// # Errors
    /// As [`add_recipient`](Self::add_recipient); [`ErrorKind::InvalidInput`] unless `scope` is this
    /// envelope's, and for people, whose slots stand on data keys of one message alone.
    pub async fn add_recipient_shared(
        &self,
        bytes: &[u8],
        recipient: &Recipient,
        scope: &Scope,
    ) -> Result<Vec<u8>> {
        self.check_named_scope(scope)?;
        self.add_parsed(&parse(bytes)?, recipient, true).await
    }

    /// Takes a slot away; what follows the header in `bytes` is not looked at. One of the slots that
    /// stay must open here; with shares all are dealt anew.
    ///
    /// **This revokes nothing.** Who could open the message may have kept its data key, or the old
    /// header: after a leak, seal it anew ([`re_encrypt`](Self::re_encrypt)).
    ///
    /// # Errors
    /// As [`decrypt`](Self::decrypt); [`ErrorKind::InvalidInput`] where no slot or more than one is
    /// selected, where it is the last one that is filled, or where fewer shares than needed would be
    /// left; [`ErrorKind::KeyNotAllowed`] where somebody who keeps a share is none of this envelope's
    /// recipients.
    pub async fn remove_recipient(&self, bytes: &[u8], which: &SlotSelector) -> Result<Vec<u8>> {
        let parsed = parse(bytes)?;
        self.check_supported(&parsed.header)?;
        let at = which.find(&parsed.header)?;
        let header = &parsed.header;
        let others = || header.slots.iter().enumerate().filter(|(other, _)| *other != at);
        if others().filter(|(_, slot)| !slot.is_missing()).count() < usize::from(header.threshold) {
            return Err(refused("without this slot nobody could open the message"));
        }
        if header.threshold > 1 {
            let rest: Vec<Slot> = others().map(|(_, slot)| slot.clone()).collect();
            let rest = self.recipients_of(&rest).await?;
            let all = Recipients::threshold(usize::from(header.threshold), rest);
            let opened = self.open_header(&parsed, Slots::ALL).await?;
            return self.restructured(&parsed, &opened, Slots::NONE, &all, true).await;
        }
        // Opening by one of the others shows that the message can do without this one.
        let opened = self.open_header(&parsed, Slots::ALL.without(at)).await?;
        let mut new = header.clone();
        new.slots.remove(at);
        next_epoch(&mut new)?;
        opened.secret.seal_header(&mut new, &self.scope, alignment(&parsed))
    }

    /// Replaces every slot that this envelope knows (the keys it may open by, those it seals for, and
    /// the new ones) by slots for `recipients`, under their write policy. Other slots are kept, except
    /// that shares are dealt anew to `recipients` alone.
    ///
    /// Each new slot that an allowed key opens is opened before the old ones are given up; there must be
    /// one, unless a new slot is a person's.
    ///
    /// # Errors
    /// As [`add_recipient`](Self::add_recipient); [`ErrorKind::KeyNotAllowed`] where no new slot could
    /// be opened again; [`ErrorKind::Unsupported`] where shares come or go and others have slots.
    pub async fn rewrap_to(&self, bytes: &[u8], recipients: &Recipients) -> Result<Vec<u8>> {
        self.rewrap_parsed_to(&parse(bytes)?, recipients, false).await
    }

    /// As [`rewrap_to`](Self::rewrap_to), for a SHARED data key: this opens *every* message of that
    /// data key in `scope` to the recipients.
    ///
    /// # Errors
    /// As [`rewrap_to`](Self::rewrap_to); [`ErrorKind::InvalidInput`] unless `scope` is this
    /// envelope's, and for people and thresholds, which take a data key of one message alone.
    pub async fn rewrap_to_shared(
        &self,
        bytes: &[u8],
        recipients: &Recipients,
        scope: &Scope,
    ) -> Result<Vec<u8>> {
        self.check_named_scope(scope)?;
        self.rewrap_parsed_to(&parse(bytes)?, recipients, true).await
    }

    async fn add_parsed(
        &self,
        parsed: &ParsedHeader<'_>,
        recipient: &Recipient,
        may_open_scope: bool,
    ) -> Result<Vec<u8>> {
        let header = &parsed.header;
        self.check_change(header, may_open_scope)?;
        if header.threshold > 1 {
            let mut all = self.recipients_of(&header.slots).await?;
            all.push(recipient.clone());
            let all = Recipients::threshold(usize::from(header.threshold), all);
            all.check()?;
            let opened = self.open_header(parsed, Slots::ALL).await?;
            return self.restructured(parsed, &opened, Slots::NONE, &all, true).await;
        }
        let opened = self.open_header(parsed, Slots::ALL).await?;
        let one = Recipients::all([recipient.clone()]);
        self.restructured(parsed, &opened, Slots::ALL, &one, false).await
    }

    async fn rewrap_parsed_to(
        &self,
        parsed: &ParsedHeader<'_>,
        recipients: &Recipients,
        may_open_scope: bool,
    ) -> Result<Vec<u8>> {
        recipients.check()?;
        self.check_change(&parsed.header, may_open_scope)?;
        let slots = &parsed.header.slots;
        learn_ids(recipients, slots).await?;
        learn_ids(&self.shared.recipients, slots).await?;
        for (_, entry) in self.shared.allowed.numbered() {
            if slots.iter().any(|slot| entry.matches(slot) == Match::Perhaps) {
                entry.resolve().await?;
            }
        }
        let opened = self.open_header(parsed, Slots::ALL).await?;
        let mut keep = Slots::ALL;
        for (at, slot) in slots.iter().enumerate() {
            if self.knows(slot) || recipients.find(slot).is_some() {
                keep = keep.without(at);
            }
        }
        for used in std::iter::once(&opened.opened_by).chain(&opened.opened_by.together_with) {
            keep = keep.without(used.slot);
        }
        self.restructured(parsed, &opened, keep, recipients, true).await
    }

    /// The slot that opened gives way to this envelope's recipients.
    pub(crate) async fn move_to_own_keys(
        &self,
        parsed: &ParsedHeader<'_>,
        may_open_scope: bool,
    ) -> Result<Vec<u8>> {
        self.check_change(&parsed.header, may_open_scope)?;
        let opened = self.open_header(parsed, Slots::ALL).await?;
        let mut keep = Slots::ALL;
        for used in std::iter::once(&opened.opened_by).chain(&opened.opened_by.together_with) {
            keep = keep.without(used.slot);
        }
        self.restructured(parsed, &opened, keep, &self.shared.recipients, true).await
    }

    /// Whether a slot is of a key that this envelope opens by or seals for.
    fn knows(&self, slot: &Slot) -> bool {
        self.shared.allowed.numbered().any(|(_, entry)| entry.matches(slot) == Match::Yes)
            || self.shared.recipients.find(slot).is_some()
    }

    /// On a SHARED data key, changing who may open takes an operation that names the scope
    /// (docs/FORMAT.md section 11.3).
    fn check_change(&self, header: &Header, may_open_scope: bool) -> Result<()> {
        self.check_supported(header)?;
        if header.exclusive || may_open_scope {
            return Ok(());
        }
        Err(CryptoError::new(ErrorKind::PermissionDenied, Operation::Rewrap).with_detail(
            "the data key is shared: this opens every message of its scope to the new key; use the \
             operation that names the scope",
        ))
    }

    /// Who has these slots, among this envelope's recipients: shares are dealt to all or to none.
    async fn recipients_of(&self, slots: &[Slot]) -> Result<Vec<Recipient>> {
        learn_ids(&self.shared.recipients, slots).await?;
        let found = slots.iter().map(|slot| {
            self.shared.recipients.find(slot).cloned().ok_or_else(|| {
                CryptoError::new(ErrorKind::KeyNotAllowed, Operation::Rewrap).with_detail(format!(
                    "shares are dealt to all anew, and {} is none of this envelope's recipients",
                    slot.key_id_text()
                ))
            })
        });
        found.collect()
    }

    /// A header with new slots for `recipients` where slots are not kept.
    async fn restructured(
        &self,
        parsed: &ParsedHeader<'_>,
        opened: &Opened,
        keep: Slots,
        recipients: &Recipients,
        gives_up: bool,
    ) -> Result<Vec<u8>> {
        let old = &parsed.header;
        if recipients.needs_exclusive() && !old.exclusive {
            return Err(refused(
                "the data key is shared; slots of people and thresholds need one that serves this \
                 message alone: seal it anew",
            ));
        }
        let (kept, place) = kept(old, keep);
        if let Some(other) = kept.first()
            && (old.threshold > 1 || recipients.slots_to_open() > 1)
        {
            return Err(CryptoError::new(ErrorKind::Unsupported, Operation::Rewrap).with_detail(
                format!(
                    "shares are dealt to all anew, which would shut {} out",
                    other.key_id_text()
                ),
            ));
        }
        let mut header = old.clone();
        next_epoch(&mut header)?;
        let (data_key, clock) = (&opened.data_key, &*self.shared.clock);
        deal_slots(&mut header, recipients, data_key, None, &self.scope, clock).await?;
        check_new(&kept, &header.slots)?;
        let count = header.slots.len();
        let mut slots = kept;
        let new = std::mem::take(&mut header.slots);
        slots.splice(place..place, new);
        header.slots = slots;
        let bytes = opened.secret.seal_header(&mut header, &self.scope, alignment(parsed))?;
        let confirmed = self.confirm(&bytes, recipients, place, count).await?;
        if gives_up && !confirmed {
            return Err(CryptoError::new(ErrorKind::KeyNotAllowed, Operation::Rewrap).with_detail(
                "none of the new slots can be opened here before the old ones are given up; allow \
                 one of the new keys",
            ));
        }
        Ok(bytes)
    }

    /// Opens each new slot that an allowed KMS key opens; whether there was one, or a person's, which no
    /// service can have got wrong.
    async fn confirm(
        &self,
        bytes: &[u8],
        recipients: &Recipients,
        place: usize,
        count: usize,
    ) -> Result<bool> {
        let new = parse(bytes)?;
        let mut confirmed = false;
        let slots = new.header.slots.iter().enumerate().skip(place).take(count);
        for ((at, slot), member) in slots.zip(&recipients.members) {
            if matches!(member.who(), Who::Person(_)) {
                confirmed = true;
            } else if !slot.is_missing() {
                match self.check_slot(&new, at).await {
                    Ok(()) => confirmed = true,
                    Err(error) if error.kind() == ErrorKind::KeyNotAllowed => {}
                    Err(error) => return Err(error),
                }
            }
        }
        Ok(confirmed)
    }
}

/// Asks for the canonical ids of aliases that may have one of `slots`.
async fn learn_ids(recipients: &Recipients, slots: &[Slot]) -> Result<()> {
    for kms in recipients.all_kms() {
        if slots.iter().any(|slot| kms.could_own(slot)) {
            kms.canonical_id().await?;
        }
    }
    Ok(())
}

/// The slots that stay, and where the new ones go: where the first one went, else behind all.
fn kept(header: &Header, keep: Slots) -> (Vec<Slot>, usize) {
    let slots = || header.slots.iter().enumerate();
    let place = slots().position(|(at, _)| !keep.has(at)).unwrap_or(header.slots.len());
    (slots().filter(|(at, _)| keep.has(*at)).map(|(_, slot)| slot.clone()).collect(), place)
}

fn check_new(kept: &[Slot], new: &[Slot]) -> Result<()> {
    let same = |a: &Slot, b: &Slot| a.kind == b.kind && a.key_id == b.key_id;
    if let Some(twice) = new.iter().find(|new| kept.iter().any(|kept| same(kept, new))) {
        return Err(CryptoError::new(ErrorKind::Conflict, Operation::Rewrap)
            .with_detail(format!("the message has a slot for {} already", twice.key_id_text())));
    }
    if kept.len() + new.len() > MAX_SLOTS {
        return Err(CryptoError::new(ErrorKind::LimitExceeded, Operation::Rewrap)
            .with_detail("a message has at most 16 slots"));
    }
    Ok(())
}

fn next_epoch(header: &mut Header) -> Result<()> {
    header.epoch = header.epoch.checked_add(1).ok_or_else(|| {
        CryptoError::new(ErrorKind::LimitExceeded, Operation::Rewrap)
            .with_detail("the header's epoch is at its end; re-encrypt the message")
    })?;
    Ok(())
}

fn refused(why: &'static str) -> CryptoError {
    CryptoError::new(ErrorKind::InvalidInput, Operation::Rewrap).with_detail(why)
}
