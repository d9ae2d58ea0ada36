//! The account with the authority: made once, and kept.

use instant_acme::{Account, AccountBuilder, AccountCredentials, ExternalAccountKey, NewAccount};
use ropeway_config::Located;
use ropeway_config::schema::Contact;

use super::Authority;
use super::error::OrderError;
use super::https::Https;
use super::storage::{self, StorageLock};

/// The account in the storage; `None` when there is none yet.
pub(super) async fn existing(authority: &Authority) -> Result<Option<Account>, OrderError> {
    let path = authority.storage.account_file();
    let Some(bytes) = storage::read_if_there(&path).map_err(|error| OrderError::storage(&path, &error))?
    else {
        return Ok(None);
    };
    let credentials: AccountCredentials = serde_json::from_slice(&bytes)
        .map_err(|error| OrderError::Storage(format!("{}: {error}", path.display())))?;
    Ok(Some(builder(authority)?.from_credentials(credentials).await?))
}

/// The account in the storage, or a new one, which is put there before it is used.
pub(super) async fn open(authority: &Authority, _lock: &StorageLock) -> Result<Account, OrderError> {
    if let Some(account) = existing(authority).await? {
        return Ok(account);
    }
    let config = &authority.config;
    let contact: Vec<&str> = config.contact.iter().map(Contact::as_str).collect();
    let new = NewAccount {
        contact: &contact,
        terms_of_service_agreed: config.terms_agreed,
        only_return_existing: false,
    };
    let external = config.eab.as_ref().map(|eab| ExternalAccountKey::new(eab.kid.clone(), eab.key.bytes()));
    let directory = config.directory.as_str().to_owned();
    let (account, credentials) = builder(authority)?.create(&new, directory, external.as_ref()).await?;
    let path = authority.storage.account_file();
    let bytes = serde_json::to_vec(&credentials).map_err(OrderError::refused)?;
    storage::write_private(&path, &bytes).map_err(|error| OrderError::storage(&path, &error).lost())?;
    tracing::info!(directory = %config.directory, account = account.id(), "made an account with the authority");
    Ok(account)
}

fn builder(authority: &Authority) -> Result<AccountBuilder, OrderError> {
    let ca = authority.config.ca.as_ref().map(Located::resolved);
    Ok(Account::builder_with_http(Box::new(Https::new(ca.as_deref())?)))
}
