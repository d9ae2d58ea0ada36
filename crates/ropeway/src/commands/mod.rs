//! One file per command, or per few that belong together.

pub mod cert;
pub mod check;
mod default_file;
pub mod demo;
pub mod documents;
pub mod init;
mod output;
pub mod proxy;
pub mod remote;
pub mod run;
