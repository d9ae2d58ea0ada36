//! `ropeway cert`

use std::process::ExitCode;

use ropeway_control::tls::dev;

use super::output::{failed, print};
use crate::arguments::{CertCommand, DevArguments};

/// Makes certificates.
pub fn cert(command: &CertCommand) -> ExitCode {
    match command {
        CertCommand::Dev(arguments) => dev(arguments),
    }
}

fn dev(arguments: &DevArguments) -> ExitCode {
    match dev::create(&arguments.dir, &arguments.names) {
        Ok(made) => print(explain(&made)),
        Err(error) => failed(format_args!("{}: {error}", arguments.dir.display())),
    }
}

fn explain(made: &dev::DevCertificates) -> String {
    let dev::DevCertificates { authority, certificate, key, names, new_authority } = made;
    let (authority, certificate, key) = (authority.display(), certificate.display(), key.display());
    let names = names.join(", ");
    let how = if *new_authority { "made just now" } else { "the one that was there" };
    format!(
        "\
Wrote {certificate} and {key}, good for a year for {names}.

Listen with it:

  [listener.web]
  bind = \"127.0.0.1:8443\"
  tls = {{ certificates = [{{ cert = \"{certificate}\", key = \"{key}\" }}] }}

It is signed by {authority} ({how}). Have it believed:

  curl              curl --cacert {authority} https://localhost:8443/
  Debian, Ubuntu    sudo cp {authority} /usr/local/share/ca-certificates/ropeway-dev.crt && sudo update-ca-certificates
  Fedora, Arch      sudo trust anchor {authority}
  macOS             sudo security add-trusted-cert -d -r trustRoot -k /Library/Keychains/System.keychain {authority}
  Chromium, Linux   certutil -d sql:$HOME/.pki/nssdb -A -t C,, -n ropeway-dev -i {authority}
  Firefox           Settings, Certificates, Authorities, Import

Whoever has the authority's key, which lies beside it, can pretend to be any site to those who believe it: keep it here.
"
    )
}
