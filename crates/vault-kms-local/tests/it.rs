//! The embedded KMS from outside: its operations, its files, and what happens to them.

#[path = "it/backup.rs"]
mod backup;
#[path = "it/corruption.rs"]
mod corruption;
#[path = "it/files.rs"]
mod files;
#[path = "it/kill.rs"]
mod kill;
#[path = "it/life.rs"]
mod life;
#[path = "it/master.rs"]
mod master;
#[path = "it/race.rs"]
mod race;
#[path = "it/secrets.rs"]
mod secrets;
#[path = "it/support.rs"]
mod support;
#[path = "it/wrapping.rs"]
mod wrapping;
