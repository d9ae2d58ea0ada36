//! Which versions, suites and groups are offered.

use std::sync::Arc;

use ropeway_config::schema::{TlsGroup, TlsPolicy, TlsSuite, TlsVersion};
use rustls::crypto::aws_lc_rs::{self, cipher_suite as suite, kx_group as group};
use rustls::crypto::{CryptoProvider, SupportedKxGroup};
use rustls::{SupportedCipherSuite, SupportedProtocolVersion, version};

/// Versions, suites and groups.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Offer {
    pub versions: Vec<TlsVersion>,
    pub suites: Vec<TlsSuite>,
    pub groups: Vec<TlsGroup>,
}

/// Every suite there is, the one for hardware with AES instructions first.
const SUITES: [TlsSuite; 9] = [
    TlsSuite::Aes128GcmSha256,
    TlsSuite::Aes256GcmSha384,
    TlsSuite::Chacha20Poly1305Sha256,
    TlsSuite::EcdheEcdsaAes128GcmSha256,
    TlsSuite::EcdheRsaAes128GcmSha256,
    TlsSuite::EcdheEcdsaAes256GcmSha384,
    TlsSuite::EcdheRsaAes256GcmSha384,
    TlsSuite::EcdheEcdsaChacha20Poly1305Sha256,
    TlsSuite::EcdheRsaChacha20Poly1305Sha256,
];

/// The groups that Mozilla recommends, behind the post-quantum one.
const GROUPS: [TlsGroup; 4] =
    [TlsGroup::X25519Mlkem768, TlsGroup::X25519, TlsGroup::Secp256r1, TlsGroup::Secp384r1];

/// Every group there is.
const ALL_GROUPS: [TlsGroup; 5] = [
    TlsGroup::X25519Mlkem768,
    TlsGroup::Secp256r1Mlkem768,
    TlsGroup::X25519,
    TlsGroup::Secp256r1,
    TlsGroup::Secp384r1,
];

impl Offer {
    /// What a policy offers, but for what is given beside it.
    pub(super) fn new(
        policy: TlsPolicy,
        versions: Option<&[TlsVersion]>,
        suites: Option<&[TlsSuite]>,
        groups: Option<&[TlsGroup]>,
    ) -> Self {
        let versions = versions.unwrap_or(policy.versions()).to_vec();
        let of_policy: &[TlsGroup] = if policy == TlsPolicy::Compatible { &ALL_GROUPS } else { &GROUPS };
        let suites = suites.unwrap_or(&SUITES).iter().copied();
        Self {
            suites: suites.filter(|suite| versions.contains(&suite.version())).collect(),
            groups: groups.unwrap_or(of_policy).to_vec(),
            versions,
        }
    }

    /// The provider of cryptography with nothing but this.
    pub(super) fn provider(&self) -> Arc<CryptoProvider> {
        Arc::new(CryptoProvider {
            cipher_suites: self.suites.iter().map(|one| cipher_suite(*one)).collect(),
            kx_groups: self.groups.iter().map(|one| kx_group(*one)).collect(),
            ..aws_lc_rs::default_provider()
        })
    }

    /// The versions as the library names them.
    pub(super) fn protocol_versions(&self) -> Vec<&'static SupportedProtocolVersion> {
        let of = |version: &TlsVersion| match version {
            TlsVersion::Tls12 => &version::TLS12,
            TlsVersion::Tls13 => &version::TLS13,
        };
        self.versions.iter().map(of).collect()
    }
}

fn cipher_suite(name: TlsSuite) -> SupportedCipherSuite {
    match name {
        TlsSuite::Aes128GcmSha256 => suite::TLS13_AES_128_GCM_SHA256,
        TlsSuite::Aes256GcmSha384 => suite::TLS13_AES_256_GCM_SHA384,
        TlsSuite::Chacha20Poly1305Sha256 => suite::TLS13_CHACHA20_POLY1305_SHA256,
        TlsSuite::EcdheEcdsaAes128GcmSha256 => suite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
        TlsSuite::EcdheEcdsaAes256GcmSha384 => suite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
        TlsSuite::EcdheEcdsaChacha20Poly1305Sha256 => suite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
        TlsSuite::EcdheRsaAes128GcmSha256 => suite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
        TlsSuite::EcdheRsaAes256GcmSha384 => suite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
        TlsSuite::EcdheRsaChacha20Poly1305Sha256 => suite::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
    }
}

fn kx_group(name: TlsGroup) -> &'static dyn SupportedKxGroup {
    match name {
        TlsGroup::X25519Mlkem768 => group::X25519MLKEM768,
        TlsGroup::Secp256r1Mlkem768 => group::SECP256R1MLKEM768,
        TlsGroup::X25519 => group::X25519,
        TlsGroup::Secp256r1 => group::SECP256R1,
        TlsGroup::Secp384r1 => group::SECP384R1,
    }
}
