//! `vaultkit rewrap`: the current versions of a message's keys, or other keys.

use vaultkit::core::header::ParsedHeader;
use vaultkit::core::{ErrorKind, KeyId};
use vaultkit::envelope::{EnvelopeEncryption, Recipient, Recipients, Rewrapped};

use super::in_place::{Change, Changed, missing, scope, warn_of_missing};
use crate::app::App;
use crate::args::RewrapArgs;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::openers::{Keys, Openers};
use crate::store::{self, Store};
use crate::text;
use crate::who::Who;

const CHANGE: Change<'_> =
    Change { name: "rewrapped", doing: "rewrapping", nothing: "current, nothing to do" };

pub(super) fn run(app: &App<'_>, args: &RewrapArgs) -> Exit {
    let openers = Openers::new(app, &args.header.openers);
    let goal = std::cell::OnceCell::new();
    if let Err(failure) = check(args) {
        return app.report.failure(&failure);
    }
    app.for_each(&args.header.inputs, |input| {
        CHANGE.run(app, input, |parsed| {
            let keys = openers.keys(&parsed.header)?;
            let scope = scope(app, &args.header, &parsed.header)?;
            match app.keys(&goal, || Goal::read(app, args))? {
                Some(goal) => {
                    let changed = to_others(&keys, parsed, &scope, goal)?;
                    if let Some((new, _)) = &changed {
                        warn_of_missing(app, &text::path(input), &missing(new)?);
                    }
                    Ok(changed)
                }
                None => to_current(app, &keys, parsed, &scope),
            }
        })
    })
}

fn check(args: &RewrapArgs) -> Result<(), Failure> {
    if args.threshold.is_some() && args.to.is_empty() {
        return Err(Failure::usage("--threshold says how many of --to must agree; name them"));
    }
    if args.at_least.is_some() && args.to.is_empty() {
        return Err(Failure::usage("--at-least says how many of --to must take part; name them"));
    }
    Ok(())
}

/// Who opens from now on.
struct Goal {
    who: Vec<Who>,
    recipients: Recipients,
    names: String,
}

impl Goal {
    fn read(app: &App<'_>, args: &RewrapArgs) -> Result<Option<Self>, Failure> {
        let who = Who::read_all(app, &args.to)?;
        let passphrase = args.passphrase.get()?;
        let mut names: Vec<String> = who.iter().map(Who::name).collect();
        names.extend(passphrase.iter().map(|_| "a passphrase".to_owned()));
        let people = passphrase.map(Recipient::passphrase);
        let all: Vec<Recipient> = who.iter().map(Who::recipient).chain(people).collect();
        if all.is_empty() {
            return Ok(None);
        }
        let recipients = match (args.threshold, args.at_least) {
            (Some(needed), _) => Recipients::threshold(needed, all),
            (None, Some(needed)) => Recipients::at_least(needed, all),
            (None, None) => Recipients::all(all),
        };
        Ok(Some(Self { who, recipients, names: names.join(", ") }))
    }
}

/// The slots at hand give way to those of `goal`.
fn to_others(
    keys: &Keys<'_>,
    parsed: &ParsedHeader<'_>,
    scope: &[(String, String)],
    goal: &Goal,
) -> Result<Changed, Failure> {
    // A new slot is opened before the old ones are given up.
    let allowed = goal.who.iter().fold(keys.allowed_to_change(), |allowed, who| match who {
        Who::Store(store) => allowed.key(store.kms.clone(), store.sealing_key()),
        Who::Public(_) => allowed,
    });
    let envelope = EnvelopeEncryption::to(goal.recipients.clone())
        .scope(scope.iter().cloned())
        .allow_only(allowed)
        .build()?;
    let new = pollster::block_on(envelope.rewrap_to(parsed.bytes, &goal.recipients))?;
    Ok(Some((new, format!("opens for {} from now on", goal.names))))
}

/// The current version of each key that the stores at hand have in it, or the key that was named.
fn to_current(
    app: &App<'_>,
    keys: &Keys<'_>,
    parsed: &ParsedHeader<'_>,
    scope: &[(String, String)],
) -> Result<Changed, Failure> {
    let mut targets: Vec<(&Store, KeyId)> = keys
        .stores()
        .iter()
        .flat_map(|store| store.keys_of(&parsed.header).into_iter().map(move |key| (store, key)))
        .collect();
    if targets.is_empty() {
        return Err(no_key_at_hand(parsed));
    }
    // Those who may open besides those who are sealed for keep what they have.
    let plan = app.envelope()?;
    if let Some(plan) = plan {
        targets.retain(|(store, _)| plan.sealed_for().any(|name| store.is_called(name)));
    }
    let recipients = match plan {
        Some(plan) => store::recipients(plan, keys.stores())?,
        None => Recipients::all(
            targets.iter().map(|(store, key)| Recipient::kms(store.kms.clone(), key.clone())),
        ),
    };
    let envelope = EnvelopeEncryption::to(recipients)
        .scope(scope.iter().cloned())
        .allow_only(keys.allowed_to_change())
        .build()?;
    let rewrapped = pollster::block_on(envelope.rewrap_header(parsed.bytes))?;
    let Rewrapped::Changed(new) = rewrapped else { return Ok(None) };
    let names: Vec<&str> = targets.iter().map(|(_, key)| key.as_str()).collect();
    Ok(Some((new, format!("moved to the current version of {}", names.join(", ")))))
}

fn no_key_at_hand(parsed: &ParsedHeader<'_>) -> Failure {
    let names: Vec<String> = parsed.header.slots.iter().map(text::slot_name).collect();
    let message = format!(
        "none of its keys is in a key store at hand: it was sealed for {}; name the store with --kms, or say with --to who shall open it",
        names.join(", ")
    );
    Failure::new(Exit::Key, ErrorKind::KeyNotAllowed, message)
}
