//! For whom `seal` seals: the key stores, public keys and the passphrase of the command line, or those of an
//! envelope of the configuration.

use vaultkit::config::EnvelopePlan;
use vaultkit::envelope::{Recipient, Recipients};

use crate::app::App;
use crate::args::SealForArgs;
use crate::failure::Failure;
use crate::store::{self, Missing, Store};
use crate::who::{self, Who};

/// For whom this run seals.
pub(super) struct Sealing {
    pub(super) recipients: Recipients,
    /// Names for people, the primary's first.
    pub(super) names: Vec<String>,
    /// Whether all of them were to take part: a slot that is missing is then worth a warning.
    pub(super) asks_all: bool,
}

impl Sealing {
    pub(super) fn read(app: &App<'_>, args: &SealForArgs) -> Result<Self, Failure> {
        if let Some(plan) = app.envelope()? {
            return Self::of_envelope(app, plan);
        }
        let who = Who::read_all(app, &args.recipient)?;
        let passphrase = who::new_passphrase(args.passphrase, args.passphrase_fd)?;
        let is_for_people = !who.is_empty() || passphrase.is_some();
        let stores = if app.names_store() || !is_for_people {
            app.stores(Missing::MakeDefault)?
        } else {
            &[]
        };
        let later = args.fill_later.iter().map(|uri| Store::named(app, uri));
        let later = later.collect::<Result<Vec<_>, _>>()?;

        // Key stores first: a data key comes from the first one.
        let (more_stores, public): (Vec<_>, Vec<_>) =
            who.iter().partition(|who| matches!(who, Who::Store(_)));
        let key_stores = stores.len() + more_stores.len();
        let mut names: Vec<String> =
            stores.iter().map(|store| store.sealing_key().to_string()).collect();
        let mut now: Vec<Recipient> = stores.iter().map(Store::recipient).collect();
        for who in more_stores.iter().chain(&public) {
            names.push(who.name());
            now.push(who.recipient());
        }
        names.extend(passphrase.iter().map(|_| "a passphrase".to_owned()));
        now.extend(passphrase.map(Recipient::passphrase));
        names.extend(later.iter().map(|store| format!("{} later", store.sealing_key())));
        let recipients = policy(now, key_stores, &later, args)?;
        Ok(Self { recipients, names, asks_all: later.is_empty() })
    }

    fn of_envelope(app: &App<'_>, plan: &EnvelopePlan) -> Result<Self, Failure> {
        let stores = Store::of_envelope(app, plan, plan.sealed_for())?;
        let recipients = store::recipients(plan, &stores)?;
        let later: Vec<&str> = plan.filled_later().collect();
        let name = |store: &Store| {
            let when = if later.iter().any(|name| store.is_called(name)) { " later" } else { "" };
            format!("{}{when}", store.sealing_key())
        };
        let names = stores.iter().map(name).collect();
        Ok(Self { recipients, names, asks_all: later.is_empty() })
    }
}

fn policy(
    now: Vec<Recipient>,
    key_stores: usize,
    later: &[Store],
    args: &SealForArgs,
) -> Result<Recipients, Failure> {
    if let Some(needed) = args.threshold {
        return Ok(Recipients::threshold(needed, now));
    }
    if let Some(needed) = args.at_least {
        return Ok(Recipients::at_least(needed, now));
    }
    if later.is_empty() {
        return Ok(Recipients::all(now));
    }
    if key_stores > 1 {
        return Err(Failure::usage(
            "with --fill-later one key store seals now; name the others with --fill-later, too",
        ));
    }
    let mut now = now.into_iter();
    let first = now.next().ok_or_else(|| Failure::usage("there is nobody to seal for"))?;
    Ok(Recipients::primary(first).fill_later(now.chain(later.iter().map(Store::recipient))))
}
