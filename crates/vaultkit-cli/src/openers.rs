//! Whose keys open a message: those named on the command line, else those that its header suggests.

use std::cell::OnceCell;
use std::sync::Arc;
use std::time::Duration;

use vaultkit::config::EnvelopePlan;
use vaultkit::core::ErrorKind;
use vaultkit::core::header::{Header, SlotKind};
use vaultkit::envelope::{
    AllowedKeys, EnvelopeEncryption, Passphrase, PassphraseCost, PrivateKey, Recipient, Recipients,
};

use crate::app::App;
use crate::args::OpenerArgs;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::prompt;
use crate::store::{Missing, Store};

/// What the options of a command name, read once for all its inputs.
pub(crate) struct Openers<'a> {
    app: &'a App<'a>,
    args: &'a OpenerArgs,
    people: OnceCell<People>,
    asked: OnceCell<Passphrase>,
}

struct People {
    identities: Vec<Arc<PrivateKey>>,
    passphrase: Option<Passphrase>,
}

/// The keys for one message.
pub(crate) struct Keys<'a> {
    stores: &'a [Store],
    identities: &'a [Arc<PrivateKey>],
    passphrase: Option<&'a Passphrase>,
    /// How long one is waited for before the next one is asked, too.
    hedge_after: Option<Duration>,
}

impl<'a> Openers<'a> {
    pub(crate) fn new(app: &'a App<'a>, args: &'a OpenerArgs) -> Self {
        Self { app, args, people: OnceCell::new(), asked: OnceCell::new() }
    }

    /// The keys for the message with this header, unverified as it is: it decides only who is asked when
    /// nobody was named.
    pub(crate) fn keys(&self, header: &Header) -> Result<Keys<'_>, Failure> {
        let People { identities, passphrase } =
            self.app.keys(&self.people, || People::read(self.args))?;
        let named_people = !identities.is_empty() || passphrase.is_some();
        let hedge_after = self.app.envelope()?.and_then(EnvelopePlan::hedge_after);
        let passphrase = passphrase.as_ref();
        let mut keys = Keys { stores: &[], identities, passphrase, hedge_after };
        if self.app.names_store() {
            keys.stores = self.app.stores(Missing::Refuse)?;
        } else if !named_people {
            let has = |kind| header.slots.iter().any(|slot| slot.kind == kind);
            let for_people = header.slots.iter().all(|slot| slot.kind.requires_exclusive());
            if has(SlotKind::PASSPHRASE) && (for_people || !Store::default_exists()) {
                keys.passphrase = Some(self.app.keys(&self.asked, || self.ask())?);
            } else if for_people {
                return Err(needs_identity());
            } else {
                keys.stores = self.app.stores(Missing::Refuse)?;
            }
        }
        Ok(keys)
    }

    fn ask(&self) -> Result<Passphrase, Failure> {
        limited(Passphrase::new(prompt::ask("passphrase of the file")?)?, self.args)
    }
}

impl People {
    fn read(args: &OpenerArgs) -> Result<Self, Failure> {
        let mut identities = Vec::new();
        for path in &args.identity {
            identities.extend(crate::keyring::identities(path)?);
        }
        let text = match args.passphrase_fd {
            Some(number) => Some(prompt::from_descriptor(number)?),
            None if args.passphrase => Some(prompt::ask("passphrase of the file")?),
            None => None,
        };
        let passphrase = match text {
            Some(text) => Some(limited(Passphrase::new(text)?, args)?),
            None => None,
        };
        Ok(Self { identities, passphrase })
    }
}

/// With the limit that was asked for.
fn limited(passphrase: Passphrase, args: &OpenerArgs) -> Result<Passphrase, Failure> {
    let Some(mebibytes) = args.passphrase_memory else { return Ok(passphrase) };
    let kibibytes = mebibytes.saturating_mul(1024);
    Ok(passphrase.with_limit(PassphraseCost::new(kibibytes, 16, 16)?))
}

fn needs_identity() -> Failure {
    let message =
        "it was sealed for public keys; name the file with the private key with --identity";
    Failure::new(Exit::Key, ErrorKind::KeyNotAllowed, message)
}

impl Keys<'_> {
    /// Who may open: the named keys, or every key of the stores.
    pub(crate) fn allowed(&self) -> AllowedKeys {
        let stores = self.stores.iter().fold(AllowedKeys::none(), |keys, store| store.allow(keys));
        self.and_people(stores)
    }

    /// As [`allowed`](Self::allowed), with every key of the stores: a named key is where a message goes.
    pub(crate) fn allowed_to_change(&self) -> AllowedKeys {
        let all = self.stores.iter().fold(AllowedKeys::none(), |keys, store| store.allow_all(keys));
        self.and_people(all)
    }

    /// People last: they cost no call, but a passphrase costs time.
    fn and_people(&self, keys: AllowedKeys) -> AllowedKeys {
        let keys = self.identities.iter().fold(keys, |keys, key| keys.private_key(key.clone()));
        match self.passphrase {
            Some(passphrase) => keys.passphrase(passphrase.clone()),
            None => keys,
        }
    }

    pub(crate) fn stores(&self) -> &[Store] {
        self.stores
    }

    /// Those of the keys that could be sealed for, as they stand in this header; of a store with none in
    /// it, nobody.
    pub(crate) fn recipients(&self, header: &Header) -> Vec<Recipient> {
        let of_store = |store: &Store| {
            let kms = store.kms.clone();
            store.keys_of(header).into_iter().map(move |key| Recipient::kms(kms.clone(), key))
        };
        let mut all: Vec<Recipient> = self.stores.iter().flat_map(of_store).collect();
        all.extend(self.identities.iter().map(|key| Recipient::public_key(key.public_key())));
        all.extend(self.passphrase.cloned().map(Recipient::passphrase));
        all
    }

    /// An envelope that opens with these keys; it is not sealed with.
    pub(crate) fn envelope(
        &self,
        scope: &[(String, String)],
    ) -> Result<EnvelopeEncryption, Failure> {
        let stores = self.stores.iter().map(Store::recipient);
        let people = self.identities.iter().map(|key| Recipient::public_key(key.public_key()));
        let passphrase = self.passphrase.cloned().map(Recipient::passphrase);
        let anybody = stores.chain(people).chain(passphrase).take(1);
        let mut builder = EnvelopeEncryption::to(Recipients::all(anybody));
        if let Some(delay) = self.hedge_after {
            builder = builder.hedge_after(delay);
        }
        Ok(builder.scope(scope.iter().cloned()).allow_only(self.allowed()).build()?)
    }
}
