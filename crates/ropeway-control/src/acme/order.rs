//! One order, from its names to the certificate.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use instant_acme::{
    Account, AuthorizationStatus, CertificateIdentifier, ChallengeType, Error, Identifier, NewOrder, Order,
    OrderStatus, RetryPolicy,
};
use rcgen::{CertificateParams, DistinguishedName, KeyPair, PKCS_ECDSA_P256_SHA256};
use ropeway_config::schema::AcmeChallenge;
use ropeway_proxy::challenges::Challenges;
use rustls::pki_types::CertificateDer;

use super::challenge::Answer;
use super::error::{OrderError, describe};
use super::relay;
use super::storage::{self, Storage};

/// How long the authority may take to look at the challenges, and to sign.
const PATIENCE: Duration = Duration::from_secs(120);

/// What is ordered, and how.
#[derive(Debug)]
pub(super) struct Wanted<'a> {
    pub names: &'a [String],
    /// The certificate that the new one takes the place of.
    pub replaces: Option<CertificateDer<'static>>,
    pub challenge: AcmeChallenge,
    pub storage: &'a Storage,
}

/// Orders a certificate. Returns its private key and its chain, as PEM.
pub(super) async fn place(
    account: &Account,
    wanted: &Wanted<'_>,
    challenges: &Arc<Challenges>,
) -> Result<String, OrderError> {
    let retries = RetryPolicy::new().timeout(PATIENCE);
    let mut order = begin(account, wanted).await?;
    // Answered until the authority has come to a conclusion, also when that fails.
    let answers = answer(&mut order, wanted, challenges).await?;
    let outcome = order.poll_ready(&retries).await;
    if !matches!(outcome, Ok(OrderStatus::Ready | OrderStatus::Valid)) {
        let why = refusal(&mut order).await;
        return Err(match (why, outcome) {
            (Some(why), _) => OrderError::Refused(why),
            (None, Err(error)) => error.into(),
            (None, Ok(status)) => OrderError::refused(format!("the order is {status:?}")),
        });
    }
    drop(answers);
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(OrderError::refused)?;
    let request = certificate_request(wanted.names, &key).map_err(OrderError::refused)?;
    let chain =
        finish(&mut order, &request, &retries).await.map_err(|error| OrderError::from(error).lost())?;
    Ok(format!("{}{chain}", key.serialize_pem()))
}

/// From here on there may be a certificate, whether it gets here or not.
async fn finish(order: &mut Order, request: &[u8], retries: &RetryPolicy) -> Result<String, Error> {
    order.finalize_csr(request).await?;
    order.poll_certificate(retries).await
}

/// Tells the authority which certificate is replaced (RFC 9773 section 5), unless it does not want to hear it.
async fn begin(account: &Account, wanted: &Wanted<'_>) -> Result<Order, OrderError> {
    let names: Vec<Identifier> = wanted.names.iter().map(|name| Identifier::Dns(name.clone())).collect();
    let replaced = wanted.replaces.as_ref().and_then(|old| CertificateIdentifier::try_from(old).ok());
    if let Some(replaced) = replaced {
        match account.new_order(&NewOrder::new(&names).replaces(replaced)).await {
            Ok(order) => return Ok(order),
            Err(error) => tracing::debug!(%error, "the authority takes no order that replaces a certificate"),
        }
    }
    Ok(account.new_order(&NewOrder::new(&names)).await?)
}

/// Answers the challenges of every name that the authority does not know to be ours already, and has it look.
async fn answer(
    order: &mut Order,
    wanted: &Wanted<'_>,
    challenges: &Arc<Challenges>,
) -> Result<Vec<Published>, OrderError> {
    let answers = publish(order, wanted, challenges).await?;
    tokio::time::sleep(relay::SPREAD).await;
    let mut authorizations = order.authorizations();
    while let Some(authorization) = authorizations.next().await {
        let mut authorization = authorization?;
        if authorization.status == AuthorizationStatus::Valid {
            continue;
        }
        if let Some(mut offered) = authorization.challenge(kind(wanted.challenge)) {
            offered.set_ready().await?;
        }
    }
    Ok(answers)
}

/// Has this process answer the challenges, and those that share the storage.
async fn publish(
    order: &mut Order,
    wanted: &Wanted<'_>,
    challenges: &Arc<Challenges>,
) -> Result<Vec<Published>, OrderError> {
    let mut answers = Vec::new();
    let mut authorizations = order.authorizations();
    while let Some(authorization) = authorizations.next().await {
        let mut authorization = authorization?;
        if authorization.status == AuthorizationStatus::Valid {
            continue;
        }
        let Identifier::Dns(host) = authorization.identifier().identifier.clone() else {
            return Err(OrderError::refused("it wants a proof for something that is no host"));
        };
        let Some(offered) = authorization.challenge(kind(wanted.challenge)) else {
            let word = wanted.challenge.as_str();
            return Err(OrderError::refused(format!("it offers no challenge `{word}` for {host}")));
        };
        let key = offered.key_authorization();
        let answer = match wanted.challenge {
            AcmeChallenge::Http01 => Answer::http(challenges, &offered.token, key.as_str()),
            AcmeChallenge::TlsAlpn01 => Answer::tls(challenges, &host, key.as_str())?,
        };
        answers.push(Published::new(answer, key.as_str(), wanted.storage)?);
    }
    Ok(answers)
}

fn kind(challenge: AcmeChallenge) -> ChallengeType {
    match challenge {
        AcmeChallenge::Http01 => ChallengeType::Http01,
        AcmeChallenge::TlsAlpn01 => ChallengeType::TlsAlpn01,
    }
}

/// An answer that is in the storage, too, until this is dropped.
struct Published {
    _answer: Answer,
    file: PathBuf,
}

impl Published {
    fn new(answer: Answer, key_authorization: &str, storage: &Storage) -> Result<Self, OrderError> {
        let text = answer.describe(key_authorization);
        let file = storage.challenge_file(key_authorization);
        storage::write_private(&file, text.as_bytes()).map_err(|error| OrderError::storage(&file, &error))?;
        Ok(Self { _answer: answer, file })
    }
}

impl Drop for Published {
    fn drop(&mut self) {
        // One that cannot be taken away is taken away before the next order.
        let _ = std::fs::remove_file(&self.file);
    }
}

/// Why the authority does not believe that a host is ours.
async fn refusal(order: &mut Order) -> Option<String> {
    let mut authorizations = order.authorizations();
    while let Some(authorization) = authorizations.next().await {
        let mut authorization = authorization.ok()?;
        let host = authorization.identifier().to_string();
        let state = authorization.refresh().await.ok()?;
        if let Some(problem) = state.challenges.iter().find_map(|challenge| challenge.error.as_ref()) {
            return Some(format!("{host}: {}", describe(problem)));
        }
    }
    None
}

fn certificate_request(names: &[String], key: &KeyPair) -> Result<Vec<u8>, rcgen::Error> {
    let mut params = CertificateParams::new(names)?;
    params.distinguished_name = DistinguishedName::new();
    Ok(params.serialize_request(key)?.der().to_vec())
}
