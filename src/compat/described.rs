//! The picture calls of the gateways whose descriptions have answers.
//!
//! 1. Route: the gateway of an instance has a call with this method and path.
//! 2. Authorize: the credential is that of an instance, and the account is its own.
//! 3. Read the body, if the face is in it.
//! 4. Answer. If two instances fit, refuse: the request does not say which one it is for.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    sync::Arc,
};

use http::{HeaderMap, Method, StatusCode, Uri, header};
use serde_json::Value;

use super::{
    Call, Compat, Failure,
    authorized_call::{Answers, AuthorizedCall},
    refuse,
};
use crate::{
    avatar::{Ask, Empty, StoredPicture, Subject, Trouble},
    http::{access_log::RequestLog, is_read, problem::Problem, respond},
    pipeline::{Demand, Instance, InstancePattern, NotMade},
    representation::problems,
    server::{Reply, RequestBody},
    upstream::{
        Account, AnswerFacts, AnswerKind, CallHead, Description, HeadMatch, NoQuestion, ShapeMatch,
    },
};

/// A request that a configured gateway has a picture call for.
pub(crate) struct DescribedRequest {
    pub(crate) method: Method,
    pub(crate) uri: Uri,
    pub(crate) headers: HeaderMap,
    /// The address that the client's limits are kept under; `None` for clients without limits.
    pub(crate) client: Option<IpAddr>,
}

/// The relation of a path to the configured gateways.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DescribedPath {
    /// A picture call.
    Call,
    /// A picture call that has other methods, listed as `Allow` does.
    OtherMethod(&'static str),
    /// Nothing.
    Unknown,
}

/// The answers of a description to one of its calls.
struct DescribedAnswers {
    description: Arc<Description>,
    picture: usize,
    /// The account as the program wrote it.
    account: String,
    subject: Option<Subject>,
}

/// An instance that may be meant by a request, judged by its head.
struct Candidate {
    instance: Arc<Instance>,
    pictures: Vec<usize>,
}

/// The instance and the face that a request is for.
struct MatchedFace {
    instance: Arc<Instance>,
    subject: Subject,
    ask: Ask,
}

/// Why a request is refused.
enum Refusal {
    Failure(Failure, DescribedAnswers),
    Problem(Problem),
}

impl Compat {
    /// Whether the path of a request is a picture call of a configured gateway.
    pub(crate) fn described_path(
        &self,
        method: &Method,
        uri: &Uri,
        headers: &HeaderMap,
    ) -> DescribedPath {
        let Some(head) = CallHead::new(method, uri, headers) else {
            return DescribedPath::Unknown;
        };
        if self.shape(&head).is_some() {
            return DescribedPath::Call;
        }
        let descriptions = self.instances.descriptions();
        let methods = descriptions.flat_map(|description| description.methods_at(&head));
        let methods: Vec<_> = methods.collect();
        let has = |method| methods.contains(&method);
        match (has(Method::GET), has(Method::POST)) {
            (false, false) => DescribedPath::Unknown,
            (get, post) => DescribedPath::OtherMethod(allowed(get, post)),
        }
    }

    /// Whether this service answers the request.
    pub(crate) fn has(&self, method: &Method, uri: &Uri, headers: &HeaderMap) -> bool {
        let is_call = is_read(method) && Call::parse(uri).is_some();
        is_call
            || matches!(
                self.described_path(method, uri, headers),
                DescribedPath::Call
            )
    }

    /// Answers as the gateway would.
    pub(crate) async fn answer_described(
        &self,
        request: DescribedRequest,
        body: RequestBody,
        log: &mut RequestLog,
    ) -> Reply {
        log.set_route("dropin");
        let mut reply = match self.find_described(&request, body).await {
            Ok((found, answers)) => {
                let call = AuthorizedCall {
                    instance: found.instance,
                    subject: found.subject,
                    ask: found.ask,
                    // A POST that asks for a picture only reads, too.
                    method: match request.method {
                        Method::HEAD => Method::HEAD,
                        _ => Method::GET,
                    },
                    uri: request.uri,
                    headers: request.headers,
                    client: request.client,
                };
                self.answer_face(call, &answers, log).await
            }
            Err(Refusal::Failure(failure, answers)) => answers.failure(failure),
            Err(Refusal::Problem(problem)) => refuse(problem, log),
        };
        // `Accept` decides between JSON and an image, for failures too.
        reply.headers.replace(header::VARY, "Accept");
        reply
    }

    async fn find_described(
        &self,
        request: &DescribedRequest,
        body: RequestBody,
    ) -> Result<(MatchedFace, DescribedAnswers), Refusal> {
        let head = CallHead::new(&request.method, &request.uri, &request.headers);
        let head = head.ok_or_else(|| Refusal::Problem(Problem::encoding()))?;
        let candidates = self.candidates(&head).await?;
        let is_in_body = |candidate: &Candidate| {
            let description = candidate.instance.provider();
            let mut pictures = candidate.pictures.iter();
            pictures.any(|picture| description.needs_body(*picture))
        };
        let json: Option<Value> = match candidates.iter().any(is_in_body) {
            true => {
                let body = self.body_reader.read(body).await;
                serde_json::from_slice(&body.map_err(Refusal::Problem)?).ok()
            }
            false => None,
        };
        let mut found = Vec::new();
        let mut refusal = Refusal::Problem(Problem::no_route(NO_CALL));
        for Candidate { instance, pictures } in candidates {
            let description = instance.provider().clone();
            let account = instance.account();
            match description.match_face(&pictures, account, &head, json.as_ref()) {
                Ok(call) => {
                    let ask = match call.question.refresh {
                        true => Ask::Refresh,
                        false => Ask::View,
                    };
                    let subject = call.question.subject;
                    let mut answers = DescribedAnswers::new(description, call.picture, &head);
                    answers.subject = Some(subject);
                    let face = MatchedFace {
                        instance,
                        subject,
                        ask,
                    };
                    found.push((face, answers));
                }
                Err(reason) => {
                    let failure = match reason {
                        NoQuestion::Account => Failure::UnknownAccount,
                        NoQuestion::Malformed => Failure::Malformed,
                    };
                    let picture = pictures.first().copied().unwrap_or_default();
                    let answers = DescribedAnswers::new(description, picture, &head);
                    refusal = Refusal::Failure(failure, answers);
                }
            }
        }
        match found.pop() {
            Some(_) if !found.is_empty() => Err(Refusal::Problem(ambiguous())),
            Some(found) => Ok(found),
            None => Err(refusal),
        }
    }

    /// The instances that the head of a request fits. Only a client that knows a credential learns whether an account
    /// exists.
    async fn candidates(&self, head: &CallHead<'_>) -> Result<Vec<Candidate>, Refusal> {
        let mut candidates = Vec::new();
        let mut of_other_account = None;
        for instance in self.instances.exact() {
            match instance.provider().match_head(instance.account(), head) {
                HeadMatch::Call(pictures) => candidates.push(Candidate {
                    instance: instance.clone(),
                    pictures,
                }),
                HeadMatch::WrongAccount => of_other_account = Some(instance.provider()),
                HeadMatch::WrongCredential | HeadMatch::Other => {}
            }
        }
        let mut names = BTreeSet::new();
        for pattern in self.instances.patterns() {
            let Some(account) = account_of_pattern(pattern, head) else {
                continue;
            };
            let name = pattern.settings().account.capture(&account);
            let of_name = name.and_then(|name| self.instances.pattern_of(name));
            match name.filter(|_| of_name.is_some_and(|of_name| Arc::ptr_eq(of_name, pattern))) {
                Some(name) => {
                    names.insert(name.to_owned());
                }
                None => of_other_account = Some(&pattern.settings().provider),
            }
        }
        for name in names {
            let instance = match self.instances.make(&name, Demand::Credential).await {
                Ok(instance) => instance,
                Err(NotMade::Unknown) => continue,
                Err(NotMade::Full) => return Err(Refusal::Problem(problems::instances_full())),
            };
            if let HeadMatch::Call(pictures) =
                instance.provider().match_head(instance.account(), head)
            {
                candidates.push(Candidate { instance, pictures });
            }
        }
        if !candidates.is_empty() {
            return Ok(candidates);
        }
        let (failure, shape) = match of_other_account {
            Some(description) => {
                let shape = description.match_shape(head);
                (
                    Failure::UnknownAccount,
                    shape.map(|shape| (description, shape)),
                )
            }
            None => (Failure::Unauthorized, self.shape(head)),
        };
        Err(match shape {
            Some((description, shape)) => {
                let answers = DescribedAnswers::new(description.clone(), shape.picture, head);
                Refusal::Failure(failure, answers)
            }
            None => Refusal::Problem(Problem::no_route(NO_CALL)),
        })
    }

    /// The gateway that a request is most probably for. Several gateways may have a call at this path, each with
    /// other headers.
    fn shape(&self, head: &CallHead<'_>) -> Option<(&Arc<Description>, ShapeMatch)> {
        let descriptions = self.instances.descriptions();
        let shapes = descriptions.filter_map(|description| {
            let shape = description.match_shape(head)?;
            Some((description, shape))
        });
        // Instances have no order; the name makes the answer the same each time.
        shapes.max_by_key(|(description, shape)| (shape.credentials, description.name.clone()))
    }
}

/// The account that a request names, if its credential is that of the pattern's instances.
fn account_of_pattern(pattern: &InstancePattern, head: &CallHead<'_>) -> Option<String> {
    let settings = pattern.settings();
    let shape = settings.provider.match_shape(head)?;
    let account = Account {
        name: settings.provider.named_account(shape.picture, head),
        token: settings.token.clone(),
        own: None,
        // The instance is compared again once it is made.
        params: BTreeMap::new(),
    };
    match settings.provider.match_head(&account, head) {
        HeadMatch::Call(_) => Some(account.name),
        _ => None,
    }
}

/// The remedy for a request that is no picture call.
pub(super) const NO_CALL: &str = "compare the method and the path with those of docs/dropin.md";

/// The methods of a path, as `Allow` lists them.
pub(super) fn allowed(get: bool, post: bool) -> &'static str {
    match (get, post) {
        (true, true) => "GET, HEAD, POST",
        (true, false) => "GET, HEAD",
        _ => "POST",
    }
}

pub(super) fn ambiguous() -> Problem {
    Problem::new(
        StatusCode::CONFLICT,
        "ambiguous-account",
        "The request fits two instances",
        "the gateway's call names its account by nothing else; give each instance a token of its own",
    )
}

// === impl DescribedAnswers ===

impl DescribedAnswers {
    fn new(description: Arc<Description>, picture: usize, head: &CallHead<'_>) -> Self {
        Self {
            account: description.named_account(picture, head),
            description,
            picture,
            subject: None,
        }
    }

    fn write(&self, kind: AnswerKind, link: Option<&str>, changed: u64) -> Reply {
        let facts = AnswerFacts {
            kind,
            account: &self.account,
            subject: self.subject,
            link,
            changed,
        };
        let answer = self.description.write_answer(self.picture, &facts);
        respond::uncached(answer.status, answer.media, answer.body)
    }
}

impl Answers for DescribedAnswers {
    fn are_images(&self) -> bool {
        self.description.answers_with_bytes(self.picture)
    }

    fn picture(&self, link: &str, picture: Option<&StoredPicture>) -> Reply {
        let changed = picture.map_or(0, |picture| picture.changed_at.as_secs());
        self.write(AnswerKind::Picture, Some(link), changed)
    }

    fn none(&self, reason: Empty) -> Reply {
        self.write(AnswerKind::Empty(reason), None, 0)
    }

    fn failure(&self, failure: Failure) -> Reply {
        self.write(answer_kind(failure), None, 0)
    }
}

/// The answer to a call that failed.
pub(super) fn answer_kind(failure: Failure) -> AnswerKind {
    match failure {
        Failure::Malformed => AnswerKind::Malformed,
        Failure::Unauthorized => AnswerKind::Trouble(Trouble::Auth),
        Failure::UnknownAccount => AnswerKind::NoAccount,
        Failure::UnknownContact => AnswerKind::Empty(Empty::NotFound),
        Failure::SessionDown => AnswerKind::Trouble(Trouble::SessionDown),
        Failure::RateLimited => AnswerKind::Trouble(Trouble::RateLimited),
        Failure::TimedOut => AnswerKind::TimedOut,
        Failure::VendorError => AnswerKind::Trouble(Trouble::VendorError),
    }
}
