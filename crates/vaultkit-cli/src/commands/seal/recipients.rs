//! For whom `seal` seals: the key stores, public keys and the passphrase of the command line.

use vaultkit::envelope::{Recipient, Recipients};

use crate::app::App;
use crate::args::SealForArgs;
use crate::failure::Failure;
use crate::store::{Missing, Store};
use crate::who::{self, Who};

/// For whom this run seals.
pub(super) struct Sealing {
    pub(super) recipients: Recipients,
    /// Names for people, the primary's first.
    pub(super) names: Vec<String>,
}

impl Sealing {
    pub(super) fn read(app: &App<'_>, args: &SealForArgs) -> Result<Self, Failure> {
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
        let recipients = policy(now, key_stores, &later, args.threshold)?;
        Ok(Self { recipients, names })
    }
}

fn policy(
    now: Vec<Recipient>,
    key_stores: usize,
    later: &[Store],
    threshold: Option<usize>,
) -> Result<Recipients, Failure> {
    if let Some(needed) = threshold {
        return Ok(Recipients::threshold(needed, now));
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
