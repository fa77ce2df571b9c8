//! The configuration file of this run, and what its names mean. When it is trusted: docs/decisions/0023.

use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::path::PathBuf;

use vaultkit::kms::KmsUri;

use super::{App, Config, EnvelopePlan};
use crate::failure::Failure;
use crate::{platform, text};

/// Looked for in the working folder, and only where a service or an envelope is named, or by `doctor`, which
/// asks its user first then.
const CONFIG_FILE: &str = "vaultkit.toml";

impl App<'_> {
    /// The configuration file: the one of --config, or `vaultkit.toml` of this folder, where there is one.
    pub(crate) fn config(&self) -> Result<Option<&Config>, Failure> {
        let load = || match &self.global.config {
            Some(path) => Ok(Some(Config::load(path)?)),
            None => self.of_this_folder(),
        };
        self.keys(&self.config, load).map(Option::as_ref)
    }

    fn of_this_folder(&self) -> Result<Option<Config>, Failure> {
        let path = self.config_path();
        let fault = |error: &io::Error| Failure::io(&path, "read it", error);
        match path.metadata() {
            // Opening a pipe would wait for who writes into it.
            Ok(meta) if !meta.is_file() => return Err(Failure::file(&path, "it is no file")),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(fault(&error)),
        }
        let file = File::open(&path).map_err(|error| fault(&error))?;
        let meta = file.metadata().map_err(|error| fault(&error))?;
        // Whoever writes it decides which hosts this user's tokens go to.
        if platform::is_of_somebody_else(&meta) {
            return Err(Failure::usage(format!(
                "{CONFIG_FILE} of this folder belongs to somebody else, or everybody may write it; name it with --config if you trust it"
            )));
        }
        self.report.note(format_args!("services as in {}", text::path(&path)));
        let folder = path.parent().unwrap_or(&path);
        Ok(Some(Config::read(file, folder)?))
    }

    /// Where the configuration file is, or would be.
    pub(crate) fn config_path(&self) -> PathBuf {
        let path = self.global.config.clone().unwrap_or_else(|| CONFIG_FILE.into());
        std::path::absolute(&path).unwrap_or(path)
    }

    /// Whether one was read.
    pub(crate) fn has_config(&self) -> bool {
        self.config.get().is_some_and(Option::is_some)
    }

    /// The service that a URI means, or a name of the configuration file.
    pub(crate) fn service(&self, named: &OsStr) -> Result<KmsUri, Failure> {
        if named.as_encoded_bytes().contains(&b':') {
            return Ok(KmsUri::parse(named)?);
        }
        let name = named.to_string_lossy();
        let config = self.config()?.ok_or_else(|| {
            Failure::usage(format!(
                "{} is no KMS URI, and there is no {CONFIG_FILE} here that says what it means; name the file with --config, or write local:PATH#KEY",
                text::safe(&name)
            ))
        })?;
        config.kms_uri(&name).cloned().ok_or_else(|| {
            let known: Vec<&str> = config.kms_names().collect();
            Failure::usage(format!(
                "there is no [kms.{}] in the configuration; there are: {}",
                text::safe(&name),
                known.join(", ")
            ))
        })
    }

    /// The envelope that was named with --envelope; one that was not named is not taken, though it be the
    /// only one.
    pub(crate) fn envelope(&self) -> Result<Option<&EnvelopePlan>, Failure> {
        let Some(name) = self.envelope else { return Ok(None) };
        let config = self.config()?.ok_or_else(|| {
            Failure::usage(format!(
                "there is no {CONFIG_FILE} here that says what the envelope {} is; name the file with --config",
                text::safe(name)
            ))
        })?;
        Ok(Some(config.envelope_plan(name)?))
    }

    /// An envelope says which services there are: nothing else may say it, too.
    pub(crate) fn check_names(&self) -> Result<(), Failure> {
        if self.envelope.is_some() && (!self.global.kms.is_empty() || self.global.key.is_some()) {
            return Err(Failure::usage(
                "--envelope says which services and keys take part; leave --kms and --key out",
            ));
        }
        Ok(())
    }

    /// `scope` beside the pairs of the envelope that was named.
    pub(crate) fn in_envelope(
        &self,
        scope: &[(String, String)],
    ) -> Result<Vec<(String, String)>, Failure> {
        let mut all = scope.to_vec();
        let Some(plan) = self.envelope()? else { return Ok(all) };
        for (name, value) in plan.scope().pairs() {
            match scope.iter().find(|(given, _)| given == name) {
                None => all.push((name.to_owned(), value.to_owned())),
                Some((_, given)) if given == value => {}
                Some(_) => {
                    return Err(Failure::usage(format!(
                        "[envelope.{}] has another {} in its scope than --scope; leave that out",
                        plan.name(),
                        text::safe(name)
                    )));
                }
            }
        }
        Ok(all)
    }
}
