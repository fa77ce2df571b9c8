#![doc = include_str!("../README.md")]

mod error;
mod file;
mod storage;

pub use storage::RedbStorage;
