//! Challenges of other processes that share the storage: an authority may look at any of them.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use ropeway_proxy::challenges::Challenges;

use super::Authority;
use super::challenge::Answer;
use super::storage;

/// How often the storage is looked at.
const LOOK: Duration = Duration::from_secs(1);

/// How long an order waits until everybody has seen its challenges.
pub(super) const SPREAD: Duration = Duration::from_millis(2_500);

/// Answers the challenges in the storage, for as long as each is there.
pub(super) async fn run(authority: Arc<Authority>, challenges: Arc<Challenges>) {
    // Nothing for those that cannot be answered, which is said once.
    let mut answers: HashMap<PathBuf, Option<Answer>> = HashMap::new();
    loop {
        let files = authority.storage.challenges();
        answers.retain(|file, _| files.contains(file));
        for file in files.into_iter().filter(|file| !answers.contains_key(file)).collect::<Vec<_>>() {
            // One that has just been taken away again needs no answer.
            let Ok(Some(text)) = storage::read_if_there(&file) else { continue };
            let answer = Answer::parse(&challenges, &String::from_utf8_lossy(&text));
            let answer = answer.inspect_err(
                |error| tracing::warn!(file = %file.display(), %error, "a challenge cannot be answered"),
            );
            answers.insert(file, answer.ok());
        }
        tokio::time::sleep(LOOK).await;
    }
}
