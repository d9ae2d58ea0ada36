//! What is behind each URL (RFC 8555 section 7).

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use super::https::{Request, Response};
use super::jws::{self, PublicKey, Signed};
use super::validation;
use super::{Books, Order, Proof, ProofState, Shared};

/// A problem document (RFC 7807): status, type, detail.
type Problem = (u16, &'static str, String);

type Answer = Result<Response, Problem>;

/// Answers a request; every answer has a fresh nonce.
pub(super) fn answer(shared: &Arc<Shared>, request: &Request) -> Response {
    let answer = match request.method.as_str() {
        "POST" => signed(shared, request),
        _ => unsigned(shared, &request.path),
    };
    let mut response = answer.unwrap_or_else(|(status, kind, detail)| {
        let kind = format!("urn:ietf:params:acme:error:{kind}");
        let body = json!({ "type": kind, "detail": detail, "status": status }).to_string();
        Response { status, fields: vec![("Content-Type", "application/problem+json".into())], body }
    });
    response.fields.push(("Replay-Nonce", shared.books().nonce()));
    response
}

fn unsigned(shared: &Shared, path: &str) -> Answer {
    match path {
        "/directory" => Ok(object(200, &directory(shared))),
        "/new-nonce" => Ok(Response { status: 200, fields: Vec::new(), body: String::new() }),
        path if path.starts_with("/renewal-info/") => Ok(renewal_info(&shared.books())),
        _ => Err(missing()),
    }
}

fn directory(shared: &Shared) -> Value {
    let url = |path: &str| format!("{}{path}", shared.base);
    json!({
        "newNonce": url("/new-nonce"),
        "newAccount": url("/new-account"),
        "newOrder": url("/new-order"),
        "renewalInfo": url("/renewal-info"),
        "meta": { "externalAccountRequired": shared.books().external.is_some() },
    })
}

/// RFC 9773 section 4.2.
fn renewal_info(books: &Books) -> Response {
    let day = Duration::from_secs(24 * 60 * 60);
    let now = SystemTime::now();
    let (start, end) =
        if books.renew_now { (now - 2 * day, now - day) } else { (now + 30 * day, now + 31 * day) };
    let window = json!({ "suggestedWindow": { "start": rfc3339(start), "end": rfc3339(end) } });
    let mut response = object(200, &window);
    response.fields.push(("Retry-After", "21600".into()));
    response
}

/// Checks what RFC 8555 section 6 wants to be checked of every request.
fn signed(shared: &Arc<Shared>, request: &Request) -> Answer {
    let malformed = |why: &str| (400, "malformed", why.to_owned());
    if !request.is_jose {
        return Err((415, "malformed", "not application/jose+json".into()));
    }
    let body: Value = serde_json::from_slice(&request.body).map_err(|_| malformed("not JSON"))?;
    let signed = Signed::parse(&body).ok_or_else(|| malformed("not a JWS"))?;
    if signed.header["url"] != format!("{}{}", shared.base, request.path) {
        return Err((401, "unauthorized", "signed for another URL".into()));
    }
    let nonce = signed.header["nonce"].as_str().unwrap_or_default();
    if !shared.books().nonces.remove(nonce) {
        return Err((400, "badNonce", "unknown, or used before".into()));
    }
    if request.path == "/new-account" {
        return new_account(shared, &signed);
    }
    let kid = signed.header["kid"].as_str().unwrap_or_default();
    let number = kid.strip_prefix(&format!("{}/account/", shared.base)).and_then(|text| text.parse().ok());
    let account: usize = number.ok_or((400, "accountDoesNotExist", "no such account".to_owned()))?;
    let key = shared.books().accounts.get(account).cloned();
    let key = key.ok_or((400, "accountDoesNotExist", "no such account".to_owned()))?;
    if !signed.is_signed_by(&key) {
        return Err(malformed("the signature is wrong"));
    }
    of_account(shared, &request.path, account, &signed)
}

/// RFC 8555 section 7.3.
fn new_account(shared: &Shared, signed: &Signed) -> Answer {
    let jwk = &signed.header["jwk"];
    let key = PublicKey::from_jwk(jwk).ok_or((400, "badPublicKey", "not a key of ES256".to_owned()))?;
    if !signed.is_signed_by(&key) {
        return Err((400, "malformed", "the signature is wrong".into()));
    }
    let payload: Value = serde_json::from_slice(&signed.payload).unwrap_or_default();
    if payload["termsOfServiceAgreed"] != true {
        return Err((403, "userActionRequired", "the terms are not agreed to".into()));
    }
    let mut books = shared.books();
    if let Some((kid, secret)) = &books.external {
        check_binding(&payload["externalAccountBinding"], jwk, (kid, secret))?;
    }
    books.accounts.push(key);
    let mut response = object(201, &json!({ "status": "valid" }));
    response.fields.push(("Location", format!("{}/account/{}", shared.base, books.accounts.len() - 1)));
    Ok(response)
}

/// RFC 8555 section 7.3.4.
fn check_binding(binding: &Value, jwk: &Value, (kid, secret): (&str, &[u8])) -> Result<(), Problem> {
    let required = || (403, "externalAccountRequired", "an external account is required".to_owned());
    let inner = Signed::parse(binding).ok_or_else(required)?;
    let bound: Value = serde_json::from_slice(&inner.payload).unwrap_or_default();
    if inner.header["kid"] != kid || bound != *jwk || !inner.is_made_with(secret) {
        return Err((403, "unauthorized", "the external account is not known, or its key is wrong".into()));
    }
    Ok(())
}

fn of_account(shared: &Arc<Shared>, path: &str, account: usize, signed: &Signed) -> Answer {
    let mut parts = path.split('/').skip(1);
    let mut part = || parts.next().unwrap_or_default();
    let (what, number, rest) = (part(), part().parse::<usize>().unwrap_or(usize::MAX), part());
    let payload: Value = serde_json::from_slice(&signed.payload).unwrap_or_default();
    match what {
        "new-order" => new_order(shared, account, &payload),
        "order" => {
            shared.books().order(account, number)?;
            Ok(order_object(shared, number, 200))
        }
        "authorization" => {
            Ok(object(200, &authorization(shared, shared.books().proof(account, number)?, number)))
        }
        "challenge" => challenge(shared, account, number, rest),
        "finalize" => finalize(shared, account, number, &payload),
        "certificate" => {
            let mut books = shared.books();
            let chain = books.order(account, number)?.chain.clone().ok_or_else(missing)?;
            let kind = ("Content-Type", "application/pem-certificate-chain".into());
            Ok(Response { status: 200, fields: vec![kind], body: chain })
        }
        _ => Err(missing()),
    }
}

fn new_order(shared: &Shared, account: usize, payload: &Value) -> Answer {
    let identifiers = payload["identifiers"].as_array().cloned().unwrap_or_default();
    let names: Option<Vec<String>> = identifiers
        .iter()
        .map(|one| if one["type"] == "dns" { one["value"].as_str().map(str::to_owned) } else { None })
        .collect();
    let names = names.filter(|names| !names.is_empty());
    let names = names.ok_or((400, "unsupportedIdentifier", "names of hosts only".to_owned()))?;
    let number = {
        let mut books = shared.books();
        let mut proofs = Vec::new();
        for name in &names {
            let token = jws::encode(books.nonce().as_bytes());
            books.proofs.push(Proof { account, name: name.clone(), token, state: ProofState::Pending });
            proofs.push(books.proofs.len() - 1);
        }
        let replaces = payload["replaces"].as_str().map(str::to_owned);
        books.orders.push(Order { account, names, proofs, replaces, chain: None });
        books.orders.len() - 1
    };
    Ok(order_object(shared, number, 201))
}

fn order_object(shared: &Shared, number: usize, status: u16) -> Response {
    let books = shared.books();
    let order = &books.orders[number];
    let url = |what: &str, number: usize| format!("{}/{what}/{number}", shared.base);
    let identifiers: Vec<Value> =
        order.names.iter().map(|name| json!({ "type": "dns", "value": name })).collect();
    let mut value = json!({
        "status": books.order_status(order),
        "identifiers": identifiers,
        "authorizations": order.proofs.iter().map(|proof| url("authorization", *proof)).collect::<Vec<_>>(),
        "finalize": url("finalize", number),
    });
    if order.chain.is_some() {
        value["certificate"] = url("certificate", number).into();
    }
    if let Some(replaces) = &order.replaces {
        value["replaces"] = replaces.clone().into();
    }
    let mut response = object(status, &value);
    response.fields.push(("Location", url("order", number)));
    response
}

/// RFC 8555 section 7.1.4.
fn authorization(shared: &Shared, proof: &Proof, number: usize) -> Value {
    let status = match &proof.state {
        ProofState::Pending | ProofState::Processing(_) => "pending",
        ProofState::Valid(_) => "valid",
        ProofState::Invalid(..) => "invalid",
    };
    let challenges: Vec<Value> =
        validation::KINDS.map(|kind| challenge_object(shared, proof, number, kind)).to_vec();
    json!({
        "status": status,
        "identifier": { "type": "dns", "value": proof.name },
        "challenges": challenges,
    })
}

fn challenge_object(shared: &Shared, proof: &Proof, number: usize, kind: &'static str) -> Value {
    let url = format!("{}/challenge/{number}/{kind}", shared.base);
    let mut value = json!({ "type": kind, "url": url, "token": proof.token, "status": "pending" });
    match &proof.state {
        ProofState::Processing(by) if *by == kind => value["status"] = "processing".into(),
        ProofState::Valid(by) if *by == kind => value["status"] = "valid".into(),
        ProofState::Invalid(by, why) if *by == kind => {
            value["status"] = "invalid".into();
            value["error"] = json!({ "type": "urn:ietf:params:acme:error:connection", "detail": why });
        }
        _ => {}
    }
    value
}

/// RFC 8555 section 7.5.1: the client is ready.
fn challenge(shared: &Arc<Shared>, account: usize, number: usize, kind: &str) -> Answer {
    let kind = validation::KINDS.into_iter().find(|known| *known == kind).ok_or_else(missing)?;
    let mut books = shared.books();
    let key = books.accounts[account].thumbprint();
    let proof = books.proof(account, number)?;
    if proof.state == ProofState::Pending {
        proof.state = ProofState::Processing(kind);
        let key_authorization = format!("{}.{key}", proof.token);
        let (name, token) = (proof.name.clone(), proof.token.clone());
        let shared = Arc::clone(shared);
        std::thread::spawn(move || validation::run(&shared, number, kind, &name, &token, &key_authorization));
    }
    let value = challenge_object(shared, books.proof(account, number)?, number, kind);
    Ok(object(200, &value))
}

/// RFC 8555 section 7.4.
fn finalize(shared: &Shared, account: usize, number: usize, payload: &Value) -> Answer {
    let request = payload["csr"].as_str().and_then(jws::decode);
    let request = request.ok_or((400, "badCSR", "no request for a certificate".to_owned()))?;
    {
        let mut books = shared.books();
        let mut wanted = books.order(account, number)?.names.clone();
        if books.order_status(&books.orders[number]) != "ready" {
            return Err((403, "orderNotReady", "the names are not proved".into()));
        }
        let (mut asked, chain) = shared.issuer.issue_requested(&request);
        asked.sort();
        wanted.sort();
        if asked != wanted {
            return Err((400, "badCSR", format!("it asks for {asked:?}, the order is for {wanted:?}")));
        }
        books.order(account, number)?.chain = Some(chain);
    }
    Ok(order_object(shared, number, 200))
}

impl Books {
    fn nonce(&mut self) -> String {
        self.issued_nonces += 1;
        let nonce = format!("nonce-{}", self.issued_nonces);
        self.nonces.insert(nonce.clone());
        nonce
    }

    fn order(&mut self, account: usize, number: usize) -> Result<&mut Order, Problem> {
        self.orders.get_mut(number).filter(|order| order.account == account).ok_or_else(missing)
    }

    fn proof(&mut self, account: usize, number: usize) -> Result<&mut Proof, Problem> {
        self.proofs.get_mut(number).filter(|proof| proof.account == account).ok_or_else(missing)
    }

    fn order_status(&self, order: &Order) -> &'static str {
        let states = || order.proofs.iter().map(|proof| &self.proofs[*proof].state);
        if order.chain.is_some() {
            "valid"
        } else if states().any(|state| matches!(state, ProofState::Invalid(..))) {
            "invalid"
        } else if states().all(|state| matches!(state, ProofState::Valid(_))) {
            "ready"
        } else {
            "pending"
        }
    }
}

fn object(status: u16, value: &Value) -> Response {
    Response { status, fields: vec![("Content-Type", "application/json".into())], body: value.to_string() }
}

fn missing() -> Problem {
    (404, "malformed", "there is nothing here".into())
}

fn rfc3339(moment: SystemTime) -> String {
    let at = rcgen::date_time_ymd(1970, 1, 1) + moment.duration_since(UNIX_EPOCH).unwrap_or_default();
    let (year, month, day) = at.to_calendar_date();
    let (hour, minute, second) = at.to_hms();
    format!("{year:04}-{:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z", u8::from(month))
}
