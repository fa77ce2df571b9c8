//! The longer texts of `--help` and the manual: examples and exit codes. A paragraph is one line, which
//! the reader's terminal breaks.

pub(crate) const EXIT_CODES: &str = "\
Exit codes:
  0  done
  1  any other failure
  2  usage: the command line cannot work as it is
  3  not authentic: wrong key, wrong context or altered file, never told apart
  4  the key or the key store is unavailable, refused or damaged
  5  cannot read or write: missing, folder, no permission, full, target exists
  6  malformed: not a sealed file, or cut off inside its header

With several inputs each is treated by itself; the exit code is the first failure's. Where the \
reader of standard output goes away, the program ends silently with 5.";

pub(crate) const MAIN: &str = "\
Examples:
  vaultkit seal contract.pdf                      makes contract.pdf.vk
  vaultkit open contract.pdf.vk                   makes contract.pdf
  tar c photos | vaultkit seal - > photos.tar.vk  in a pipe
  vaultkit keys rotate default                    new files use a new version
  vaultkit rewrap *.vk                            and old ones move to it
  vaultkit seal notes.txt --passphrase            opens with a passphrase
  vaultkit keys generate me.key                   prints vkpub1..., for others to
  vaultkit seal notes.txt -r vkpub1...            seal for you, and you
  vaultkit open notes.txt.vk -i me.key            open it

The first `seal` makes a key store in $VAULTKIT_HOME, else in $XDG_DATA_HOME/vaultkit, else in \
~/.local/share/vaultkit. What is sealed under its keys opens with them alone: back it up with \
`vaultkit keys backup`, after making it and after every rotation.

Secrets are never arguments, because every user of a machine can read those. The master secret \
of a key store is in its folder, or comes from a descriptor, a variable or a passphrase.";

pub(crate) const SEAL: &str = "\
Examples:
  vaultkit seal report.pdf                        makes report.pdf.vk
  vaultkit seal a.txt b.txt -o sealed/            both go into a folder
  vaultkit seal db.dump --context case=17         opens only with this context
  vaultkit seal db.dump --scope tenant=acme       bound to this tenant
  pg_dump app | vaultkit seal - > app.dump.vk     from a pipe
  vaultkit seal a.txt --passphrase                opens with a passphrase alone
  vaultkit seal a.txt -r vkpub1... -r @team.pub   opens with any of these keys
  vaultkit seal a.txt --key default -r vkpub1...  and with the key store
  vaultkit seal a.txt --kms local:a --kms local:b opens with either store
  vaultkit seal a.txt --kms local:a --kms local:b --kms local:c --threshold 2
                                                  opens with any two of them
  vaultkit seal a.txt --kms main --kms exit --at-least 1
                                                  though one of them is down
  vaultkit seal a.txt --envelope cards            for whom vaultkit.toml says

Each recipient can open the file alone, unless --threshold says how many must agree. All take part \
when the file is sealed, except the stores of --fill-later and, a second after --at-least so many took \
part, those that did not answer: their slots `vaultkit fill` fills. Who is missing is told as a warning, and \
the exit code is 0.

An envelope is never chosen by itself; more pairs of --scope narrow the scope that it has.

A context is bound to the file and stored nowhere: keep it where you keep the file's name. A \
scope is bound too, and stored in the header. The sealed file has the permissions of the input \
and appears under its name only when it is whole.";

pub(crate) const OPEN: &str = "\
Examples:
  vaultkit open report.pdf.vk                     makes report.pdf
  vaultkit open report.pdf.vk -o copy.pdf         under another name
  vaultkit open app.dump.vk -o - | psql app       into a pipe
  vaultkit open db.dump.vk --context case=17      with its context
  vaultkit open notes.txt.vk -i me.key            with a private key
  vaultkit open notes.txt.vk --passphrase         with a passphrase
  vaultkit open a.txt.vk --envelope cards         with its services, in its scope

A file appears under its name only when all of it was authentic. On standard output every byte \
was authentic when it was written, but whether the message is whole is known only at its end: \
look at the exit code before you trust what a pipe delivered.";

pub(crate) const VERIFY: &str = "\
Examples:
  vaultkit verify *.vk
  vaultkit verify - < report.pdf.vk";

pub(crate) const INSPECT: &str = "\
Examples:
  vaultkit inspect report.pdf.vk
  vaultkit inspect --json *.vk

No key is asked for, and therefore nothing that is shown was verified: whoever could write the \
file could write all of it.";

pub(crate) const REWRAP: &str = "\
Examples:
  vaultkit keys rotate default && vaultkit rewrap *.vk
  vaultkit rewrap report.pdf.vk --key archive     to another key of the store
  vaultkit rewrap report.pdf.vk --to vkpub1...    for this public key alone
  vaultkit rewrap *.vk --envelope cards           the slots of those it seals for

Moves a file to the current versions of its keys, or to the key of --key, or replaces the slots of \
the keys at hand by those of --to, in place. The body is \
not opened and no context is needed. A file that is current stays as it is. The old key version \
still opens old copies of the file: after a key has leaked, open and seal again instead.";

pub(crate) const ADD: &str = "\
Examples:
  vaultkit add-recipient report.pdf.vk -r vkpub1...
  vaultkit add-recipient report.pdf.vk -r local:/mnt/backup/store#archive
  vaultkit add-recipient notes.txt.vk -i me.key --new-passphrase

Some key that opens the file must be at hand: a key store's, a private key, a passphrase. The body is \
not opened and no context is needed. A file that needs several to agree is dealt to all of them anew, \
so all must be at hand; `rewrap --to` deals it to whom you name.";

pub(crate) const REMOVE: &str = "\
Examples:
  vaultkit remove-recipient report.pdf.vk -r vkpub1...
  vaultkit remove-recipient report.pdf.vk --slot 2
  vaultkit remove-recipient notes.txt.vk -i me.key -r passphrase

One of the keys that stay must be at hand. This is no revocation: who could open the file may have \
kept its data key, or an old copy. After a leak open and seal again instead.";

pub(crate) const FILL: &str = "\
Examples:
  vaultkit seal a.txt --kms local:a --fill-later local:b
  vaultkit fill a.txt.vk --kms local:a --kms local:b
  vaultkit fill *.vk --envelope cards

Fills the slots of the key stores of --kms or of the envelope; some key that opens the file must be at hand, too. \
`inspect` shows which slots are missing.";

pub(crate) const GENERATE: &str = "\
Examples:
  vaultkit keys generate me.key > me.pub
  vaultkit seal notes.txt -r @me.pub && vaultkit open notes.txt.vk -i me.key

Whoever has the file opens what was sealed for it: it is made for its owner alone, and refused when \
others may read it. To keep it under a passphrase, seal it: vaultkit seal me.key --passphrase";

pub(crate) const KEYS: &str = "\
Examples:
  vaultkit keys list
  vaultkit keys create orders --description 'order archive'
  vaultkit keys rotate default                    takes effect at once
  vaultkit keys rotate default --stage            is readable first ...
  vaultkit keys promote default                   ... and then written with
  vaultkit keys backup store.backup               all keys, under a passphrase

  vaultkit keys list --kms aws-kms://?region=eu-central-1
  vaultkit keys create app --kms hcvault://vault.example.com/transit --tag team=payments

Keys are named by their name or by their full id, local:STORE#NAME. What a service cannot do it says.";

pub(crate) const BACKUP: &str = "\
Writes all keys to a new file under a passphrase. It opens on any machine, so keep it apart \
from the passphrase. A backup from before a rotation does not open what was sealed after it; \
deleted keys live on in older backups.";

pub(crate) const RESTORE: &str = "\
Makes the store hold what a backup holds. A backup that is older than the store, or that cannot \
be compared because the store is damaged, is refused unless you give --accept-older: what was \
made or changed since then is lost. Another store is overwritten only with --replace-other; its \
keys are lost.";

pub(crate) const DOCTOR: &str = "\
Examples:
  vaultkit doctor                                 every [kms.NAME] of vaultkit.toml here, after you said yes
  vaultkit doctor --config vaultkit.toml          the same, and at once
  vaultkit doctor --envelope cards                those of an envelope
  vaultkit doctor --kms hcvault://vault.example.com/transit/app

Makes and unwraps a data key under each service's key, and changes nothing. What is refused is \
told with the right that is missing, what could not be tried is `skipped`; the exit code is that of the \
first refusal that keeps files from being sealed or opened.

Without --config, --kms and --envelope nobody is asked: a vaultkit.toml of the working folder may have \
come with the folder, and who wrote it decides where your tokens go.";

pub(crate) const COMPLETIONS: &str = "\
Example:
  vaultkit completions bash > /etc/bash_completion.d/vaultkit";

pub(crate) const MAN: &str = "\
Examples:
  vaultkit man | man -l -
  vaultkit man > vaultkit.1";
