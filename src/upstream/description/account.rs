//! Checks the values of an instance against its description, so that no call fails for want of one.

use secrecy::ExposeSecret;

use super::{
    Description,
    request::Request,
    template::{Placeholder, Template},
};
use crate::upstream::provider::Account;

/// The account in a configuration that nobody has edited yet.
pub const ACCOUNT_PLACEHOLDER: &str = "write-the-account-here";

/// A value of an instance that does not fit its description.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountProblem {
    /// The key: `account`, `token` or `params.NAME`.
    pub key: String,
    /// The fact and the remedy.
    pub remedy: String,
}

impl Description {
    /// The problems of an account's values.
    pub fn check_account(&self, account: &Account) -> Vec<AccountProblem> {
        let mut problems = Vec::new();
        let mut report = |key: &str, remedy: String| {
            problems.push(AccountProblem {
                key: key.to_owned(),
                remedy,
            });
        };
        if account.name == ACCOUNT_PLACEHOLDER {
            report(
                "account",
                format!("is not written yet; it is {}", self.account),
            );
        }
        for param in &self.params {
            if !account.params.contains_key(&param.name) {
                let key = format!("params.{}", param.name);
                report(&key, format!("is missing; write {}", param.what));
            }
        }
        for name in account.params.keys() {
            if !self.params.iter().any(|param| param.name == *name) {
                let known: Vec<_> = self
                    .params
                    .iter()
                    .map(|param| param.name.as_str())
                    .collect();
                let remedy = match known.as_slice() {
                    [] => format!("is unknown; {} has no further values", self.name),
                    known => format!("is unknown; {} has {}", self.name, known.join(", ")),
                };
                report(&format!("params.{name}"), remedy);
            }
        }
        for (placeholder, key, value) in values(account) {
            let is_dots = value.bytes().all(|byte| byte == b'.');
            if is_dots
                && self
                    .requests()
                    .any(|request| is_in_path(request, &placeholder))
            {
                report(
                    &key,
                    "is empty or of dots alone, and would name another path; write its real value"
                        .into(),
                );
            }
        }
        problems
    }

    /// Whether the calls for pictures name the account.
    pub fn uses_account(&self) -> bool {
        let is_account = |template: &Template| {
            let mut placeholders = template.placeholders();
            placeholders.any(|of| *of == Placeholder::Account)
        };
        let in_query = self.query.iter().any(|(_, template)| is_account(template));
        let in_headers = self
            .headers
            .iter()
            .any(|(_, template)| is_account(template));
        let mut pictures = self.pictures.iter();
        in_query || in_headers || pictures.all(|picture| picture.request.has(&Placeholder::Account))
    }

    pub(super) fn requests(&self) -> impl Iterator<Item = &Request> {
        let pictures = self.pictures.iter().map(|picture| &picture.request);
        let others = [
            self.chats.as_ref().map(|chats| &chats.request),
            self.session.as_ref().map(|session| &session.request),
            self.lid.as_ref().map(|lid| &lid.request),
        ];
        pictures.chain(others.into_iter().flatten())
    }
}

fn values(account: &Account) -> Vec<(Placeholder, String, &str)> {
    let mut values = vec![
        (
            Placeholder::Account,
            "account".to_owned(),
            account.name.as_str(),
        ),
        (
            Placeholder::Token,
            "token".to_owned(),
            account.token.expose_secret(),
        ),
    ];
    for (name, value) in &account.params {
        let placeholder = Placeholder::Param(name.clone());
        values.push((placeholder, format!("params.{name}"), value.expose_secret()));
    }
    values
}

fn is_in_path(request: &Request, placeholder: &Placeholder) -> bool {
    request.path.placeholders().any(|of| of == placeholder)
}
