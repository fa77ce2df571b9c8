//! `vaultkit add-recipient`, `remove-recipient` and `fill`: who may open, bodies untouched.

use std::cell::OnceCell;

use vaultkit::core::header::{Header, ParsedHeader, Slot, SlotKind, parse};
use vaultkit::core::{CryptoError, ErrorKind};
use vaultkit::envelope::{EnvelopeEncryption, Recipient, Recipients, Rewrapped, SlotSelector};

use super::in_place::{Change, Changed, scope};
use crate::app::App;
use crate::args::{AddArgs, HeaderArgs, RemoveArgs};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::openers::{Keys, Openers};
use crate::text;
use crate::who::Who;

const ADD: Change<'_> = Change { name: "added", doing: "adding", nothing: "nothing to do" };
const REMOVE: Change<'_> = Change { name: "removed", doing: "removing", nothing: "nothing to do" };
const FILL: Change<'_> =
    Change { name: "filled", doing: "filling", nothing: "nothing that could be filled here" };

/// The word that names the passphrase's slot.
const PASSPHRASE: &str = "passphrase";

pub(super) fn add(app: &App<'_>, args: &AddArgs) -> Exit {
    let openers = Openers::new(app, &args.header.openers);
    let new = OnceCell::new();
    let read = || {
        let who = Who::read_all(app, &args.recipient)?;
        let passphrase = args.passphrase.get()?;
        let mut names: Vec<String> = who.iter().map(Who::name).collect();
        names.extend(passphrase.iter().map(|_| "a passphrase".to_owned()));
        let people = passphrase.map(Recipient::passphrase);
        let all: Vec<Recipient> = who.iter().map(Who::recipient).chain(people).collect();
        if all.is_empty() {
            return Err(Failure::usage(
                "name with --recipient or --new-passphrase who shall open it",
            ));
        }
        Ok((all, names.join(", ")))
    };
    app.for_each(&args.header.inputs, |input| {
        ADD.run(app, input, |parsed| {
            let keys = openers.keys(&parsed.header)?;
            let (recipients, names) = app.keys(&new, read)?;
            let envelope = envelope(app, &keys, &args.header, &parsed.header)?;
            let mut bytes = parsed.bytes.to_vec();
            for recipient in recipients {
                let added = pollster::block_on(envelope.add_recipient(&bytes, recipient));
                bytes = added.map_err(|error| of_shares(error, &parsed.header))?;
            }
            Ok(Some((bytes, format!("opens for {names}, too"))))
        })
    })
}

pub(super) fn remove(app: &App<'_>, args: &RemoveArgs) -> Exit {
    if args.recipient.is_empty() && args.slot.is_empty() {
        let failure = Failure::usage("name with --recipient or --slot which key slot to take out");
        return app.report.failure(&failure);
    }
    let openers = Openers::new(app, &args.header.openers);
    app.for_each(&args.header.inputs, |input| {
        REMOVE.run(app, input, |parsed| {
            let gone = selected(app, args, &parsed.header)?;
            let keys = openers.keys(&parsed.header)?;
            let envelope = envelope(app, &keys, &args.header, &parsed.header)?;
            let mut bytes = parsed.bytes.to_vec();
            for slot in &gone {
                let which = SlotSelector::number(number_of(slot, &parse(&bytes)?.header));
                let rest = pollster::block_on(envelope.remove_recipient(&bytes, &which));
                bytes = rest.map_err(|error| of_shares(error, &parsed.header))?;
            }
            app.report.note(
                "who could open it may have kept the data key or an old copy: after a leak, open and seal again",
            );
            let names: Vec<String> = gone.iter().map(text::slot_name).collect();
            Ok(Some((bytes, format!("no longer opens for {}", names.join(", ")))))
        })
    })
}

pub(super) fn fill(app: &App<'_>, args: &HeaderArgs) -> Exit {
    let openers = Openers::new(app, &args.openers);
    app.for_each(&args.inputs, |input| {
        FILL.run(app, input, |parsed| {
            let keys = openers.keys(&parsed.header)?;
            let envelope = envelope(app, &keys, args, &parsed.header)?;
            filled(parsed, pollster::block_on(envelope.fill(parsed.bytes))?)
        })
    })
}

fn filled(parsed: &ParsedHeader<'_>, result: Rewrapped<Vec<u8>>) -> Result<Changed, Failure> {
    let Rewrapped::Changed(new) = result else { return Ok(None) };
    let count = |header: &Header| header.slots.iter().filter(|slot| slot.is_missing()).count();
    let left = count(&parse(&new)?.header);
    let done = count(&parsed.header) - left;
    Ok(Some((new, format!("{done} slots filled, {left} still to be filled"))))
}

/// Opens with the keys at hand; with shares, deals to those of them who have a slot.
fn envelope(
    app: &App<'_>,
    keys: &Keys<'_>,
    args: &HeaderArgs,
    header: &Header,
) -> Result<EnvelopeEncryption, Failure> {
    let scope = scope(app, args, header)?;
    let recipients = keys.recipients(header);
    if recipients.is_empty() {
        return keys.envelope(&scope);
    }
    let builder = EnvelopeEncryption::to(Recipients::all(recipients));
    Ok(builder.scope(scope).allow_only(keys.allowed_to_change()).build()?)
}

/// Shares are dealt anew to all who have one: where somebody is not at hand, that is a missing key.
fn of_shares(error: CryptoError, header: &Header) -> Failure {
    if header.threshold == 1 || error.kind() != ErrorKind::Unsupported {
        return error.into();
    }
    let detail = error.detail().unwrap_or_default();
    let message = format!(
        "{detail}: name all who have a slot with --kms, --identity and --passphrase, or deal it to others with `vaultkit rewrap --to`"
    );
    Failure::new(Exit::Key, ErrorKind::KeyNotAllowed, message)
}

/// The slots that are meant, each once.
fn selected(app: &App<'_>, args: &RemoveArgs, header: &Header) -> Result<Vec<Slot>, Failure> {
    let mut gone: Vec<Slot> = Vec::new();
    let mut take = |slot: &Slot| {
        if !gone.iter().any(|other| same(other, slot)) {
            gone.push(slot.clone());
        }
    };
    for number in &args.slot {
        let at = number.checked_sub(1).and_then(|at| header.slots.get(at));
        take(at.ok_or_else(|| no_such_slot(&format!("slot {number}")))?);
    }
    for argument in &args.recipient {
        let text = argument.to_string_lossy();
        let named = |slot: &&Slot| match slot.kind {
            SlotKind::PASSPHRASE => text == PASSPHRASE,
            _ => slot.key_id_text() == text,
        };
        if let Some(slot) = header.slots.iter().find(named) {
            take(slot);
            continue;
        }
        if text == PASSPHRASE {
            return Err(no_such_slot(PASSPHRASE));
        }
        for who in Who::read(app, argument)? {
            let slot = header.slots.iter().find(|slot| is_of(slot, &who));
            take(slot.ok_or_else(|| no_such_slot(&who.name()))?);
        }
    }
    Ok(gone)
}

fn is_of(slot: &Slot, who: &Who) -> bool {
    match who {
        Who::Public(key) => slot.kind == key.kind() && slot.key_id == key.key_id(),
        Who::Store(store) => {
            let canonical = store.kms.canonical_key_id(&store.sealing_key());
            store.owns(slot) && canonical.is_some_and(|key| slot.key_id_text() == key.as_str())
        }
    }
}

fn same(one: &Slot, other: &Slot) -> bool {
    one.kind == other.kind && one.key_id == other.key_id
}

/// Numbers move when a slot goes; a slot's kind and key id stay.
fn number_of(slot: &Slot, header: &Header) -> usize {
    header.slots.iter().position(|other| same(other, slot)).unwrap_or(usize::MAX)
}

fn no_such_slot(name: &str) -> Failure {
    let message = format!("it has no key slot for {name}; `vaultkit inspect` shows those it has");
    Failure::new(Exit::Usage, ErrorKind::InvalidInput, message)
}
