//! Loads a description from its TOML text. Every problem is reported, each with its line and its remedy.

use std::sync::Arc;

use http::HeaderName;
use toml::de::DeTable;

use super::{
    Description, Param, PictureCall, PictureSubject,
    jid_forms::{JidForms, KINDS},
    table::{DescriptionProblem, Findings, Table, nearest},
    template::{Placeholder, Scope, Template},
};

mod answers;
mod calls;
mod rules;
mod samples;
mod values;

/// A text to load.
#[derive(Clone, Copy, Debug)]
pub struct Source<'s> {
    /// Its name in messages.
    pub file: &'s str,
    /// The text.
    pub text: &'s str,
    /// Whether it is a file, whose lines the operator knows.
    pub has_lines: bool,
    /// The name that it has to have: its file's.
    pub name: Option<&'s str>,
}

/// The largest file.
const MAX_BYTES: usize = 64 * 1024;
const MAX_RULES: usize = 64;
const MAX_PICTURES: usize = 8;

/// Loads a description. `find` is asked for the one that it extends.
pub fn load(
    source: Source<'_>,
    find: impl Fn(&str) -> Option<Arc<Description>>,
) -> Result<Description, Vec<DescriptionProblem>> {
    let findings = Findings::new(source.file, source.text, source.has_lines);
    let description = if source.text.len() > MAX_BYTES {
        findings.report(0, format!("is larger than {MAX_BYTES} bytes; shorten it"));
        None
    } else {
        match DeTable::parse(source.text) {
            Ok(table) => {
                let loader = Loader::new(Table::root(&findings, &table), find);
                let name = source.name;
                Some(Loader { name, ..loader }.load())
            }
            Err(error) => {
                let at = error.span().map_or(0, |span| span.start);
                findings.report(at, format!("is not valid TOML: {}", error.message()));
                None
            }
        }
    };
    let problems = findings.finish();
    description.filter(|_| problems.is_empty()).ok_or(problems)
}

/// The state of loading.
struct Loader<'t> {
    table: Table<'t>,
    /// The name that the description has to have.
    name: Option<&'t str>,
    base: Option<Arc<Description>>,
    params: Vec<Param>,
    written: Vec<&'static str>,
}

impl<'t> Loader<'t> {
    fn new(table: Table<'t>, find: impl Fn(&str) -> Option<Arc<Description>>) -> Self {
        let base = table.text("extends").and_then(|name| {
            let base = find(&name);
            if base.is_none() && let Some(item) = table.item("extends") {
                item.problem(format!(
                    "extends {name:?}, which is no description without problems; `faceplate providers` lists those of this program"
                ));
            }
            base
        });
        Self {
            table,
            name: None,
            base,
            params: Vec::new(),
            written: Vec::new(),
        }
    }

    fn load(mut self) -> Description {
        let table = &self.table;
        if !table.has("format") {
            table.missing("format", "write format = 1 in the first line");
        } else if table.number("format").is_some_and(|format| format != 1)
            && let Some(item) = table.item("format")
        {
            item.problem("format must be 1: this program knows format 1 alone".to_owned());
        }
        let name = self.read_name();
        let text = |key| self.table.text(key);
        let base = self.base.clone();
        let base = base.as_deref();
        let inherited = |written: Option<String>, of_base: fn(&Description) -> &String| {
            written.or_else(|| base.map(|base| of_base(base).clone()))
        };
        let title = inherited(text("title"), |base| &base.title);
        let account = inherited(text("account"), |base| &base.account);
        let token = inherited(text("token"), |base| &base.token);
        let docs = self.table.texts("docs");
        let base_url = text("base_url").or_else(|| base.and_then(|base| base.base_url.clone()));
        if self.table.has("base_url") {
            self.written.push("base_url");
        }
        let keeps_answers = self.table.flag("keeps_answers");
        self.params = self.read_params();
        let headers = self.section("headers", |loader| {
            loader.headers(&loader.table, Scope::Call)
        });
        let query = self.section("query", |loader| loader.query(&loader.table, Scope::Call));
        let jid = self.section("jid", Loader::read_jid_forms);
        let jid = jid.unwrap_or_else(|| base.map(|base| base.jid.clone()).unwrap_or_default());
        let pictures = self.section("picture", |loader| loader.read_pictures(&jid));
        let rules = self.section("reply", Loader::read_rules);
        let chats = self.section("chats", Loader::read_chats);
        let session = self.section("session", Loader::read_session);
        let lid = self.section("lid", Loader::read_lid);
        let hook = self.section("hook", Loader::read_hook);
        let defaults = self.section("defaults", Loader::read_defaults);
        let answers = self.section("answer", Loader::read_answers);
        let samples = self.section("sample", Loader::read_samples);
        let description = Description {
            title: title.unwrap_or_else(|| name.clone()),
            name: name.into(),
            is_shipped: true,
            docs,
            base_url,
            account: account.unwrap_or_else(|| "the account's name".to_owned()),
            token: token.unwrap_or_else(|| "the API key".to_owned()),
            params: self.params,
            defaults: defaults
                .unwrap_or_else(|| base.map(|base| base.defaults.clone()).unwrap_or_default()),
            keeps_answers: keeps_answers
                .or(base.map(|base| base.keeps_answers))
                .unwrap_or(false),
            headers: headers
                .unwrap_or_else(|| base.map(|base| base.headers.clone()).unwrap_or_default()),
            query: query.unwrap_or_else(|| base.map(|base| base.query.clone()).unwrap_or_default()),
            jid,
            pictures: pictures
                .unwrap_or_else(|| base.map(|base| base.pictures.clone()).unwrap_or_default()),
            rules: rules.unwrap_or_else(|| base.map(|base| base.rules.clone()).unwrap_or_default()),
            chats: chats.unwrap_or_else(|| base.and_then(|base| base.chats.clone())),
            session: session.unwrap_or_else(|| base.and_then(|base| base.session.clone())),
            lid: lid.unwrap_or_else(|| base.and_then(|base| base.lid.clone())),
            hook: hook.unwrap_or_else(|| base.and_then(|base| base.hook.clone())),
            answers: answers
                .unwrap_or_else(|| base.map(|base| base.answers.clone()).unwrap_or_default()),
            samples: samples.unwrap_or_default(),
            written: self.written,
        };
        if description.pictures.is_empty() {
            self.table
                .derived("has no [[picture]]; write the call for pictures".to_owned());
        }
        self.table.finish();
        description
    }

    fn read_name(&self) -> String {
        let remedy = "write the name that provider of an instance has, as name = \"acme\"";
        let Some(name) = self.table.required("name", remedy) else {
            return String::new();
        };
        let Some(item) = self.table.item("name") else {
            return name;
        };
        if !is_name(&name) {
            item.problem(format!(
                "name is {name:?}; it is made of lower-case letters, digits and -"
            ));
        } else if let Some(expected) = self.name
            && expected != name
        {
            item.problem(format!(
                "name is {name:?}, but the file is called {expected}; write name = {expected:?}, or rename the file to {name}.toml"
            ));
        }
        name
    }

    /// Reads a section, if this file has it.
    fn section<T>(&mut self, name: &'static str, read: impl FnOnce(&Self) -> T) -> Option<T> {
        // Asked for in any case, so that it is a known key.
        self.table.item(name)?;
        self.written.push(name);
        Some(read(self))
    }

    fn read_params(&mut self) -> Vec<Param> {
        let Some(table) = self.table.table("params") else {
            return self
                .base
                .as_ref()
                .map(|base| base.params.clone())
                .unwrap_or_default();
        };
        self.written.push("params");
        let mut params = Vec::new();
        for (name, item) in table.entries() {
            let Some(table) = item.table() else { continue };
            if !is_param(&name)
                || [
                    "account", "token", "jid", "user", "refresh", "limit", "offset", "page",
                    "cursor",
                ]
                .contains(&name.as_str())
            {
                item.problem(format!(
                    "{} is no name of a parameter; use other letters, digits and _",
                    item.path()
                ));
            }
            params.push(Param {
                what: table
                    .required("what", "say what the operator is to put there")
                    .unwrap_or_default(),
                is_secret: table.flag("secret").unwrap_or(true),
                default: table.text("default"),
                name,
            });
            table.finish();
        }
        params
    }

    fn read_jid_forms(&self) -> JidForms {
        let mut forms = JidForms::default();
        let Some(table) = self.table.table("jid") else {
            return forms;
        };
        for (name, kind) in KINDS {
            let Some(form) = self.template(&table, name, Scope::Jid) else {
                continue;
            };
            let users = form
                .placeholders()
                .filter(|of| **of == Placeholder::User)
                .count();
            if users != 1
                && let Some(item) = table.item(name)
            {
                item.problem(format!(
                    "jid.{name} must have {{user}} in it, once: the part of a JID before the @"
                ));
            }
            forms.forms.push((kind, form));
        }
        table.finish();
        forms
    }

    fn read_pictures(&self, forms: &JidForms) -> Vec<PictureCall> {
        let tables = self.table.tables("picture");
        if tables.len() > MAX_PICTURES {
            self.table
                .problem(format!("has more than {MAX_PICTURES} pictures; drop some"));
        }
        let pictures = tables
            .into_iter()
            .map(|table| self.read_picture(table, forms));
        pictures.collect()
    }

    fn read_picture(&self, table: Table<'t>, forms: &JidForms) -> PictureCall {
        let subjects = self.subjects(&table);
        if !table.has("for") {
            table.missing("for", "write a list such as [\"contact\", \"group\"]");
        }
        let unwritten = KINDS.into_iter().filter(|(_, kind)| {
            subjects.contains(&PictureSubject::Kind(*kind)) && !forms.has(*kind)
        });
        let unwritten: Vec<_> = unwritten.map(|(name, _)| name).collect();
        if !unwritten.is_empty() {
            let names = unwritten.join(", ");
            let example = unwritten[0];
            table.derived(format!(
                "picture.for has {names}, but [jid] does not say how one is written; add {example} = \"{{user}}...\" there"
            ));
        }
        let request = self.request(&table, Scope::Picture);
        let needs_jid = [Placeholder::Jid, Placeholder::User]
            .iter()
            .any(|of| request.has(of));
        if subjects.contains(&PictureSubject::Me) && needs_jid {
            table.derived("picture.for has \"me\", a question without a JID, but the request has {jid} or {user}".to_owned());
        }
        if subjects
            .iter()
            .any(|subject| *subject != PictureSubject::Me)
            && !needs_jid
        {
            table.derived(
                "the request has neither {jid} nor {user}, so every face would be the same one; put one of them in path, query or json"
                    .to_owned(),
            );
        }
        let places = self.places(&table);
        table.finish();
        PictureCall {
            subjects,
            request,
            places,
        }
    }

    /// The kinds of faces in `for`.
    fn subjects(&self, table: &Table<'t>) -> Vec<PictureSubject> {
        let names = KINDS.map(|(name, kind)| (name, PictureSubject::Kind(kind)));
        let others = [("me", PictureSubject::Me), ("own", PictureSubject::Own)];
        let names: Vec<_> = names.into_iter().chain(others).collect();
        let mut subjects = Vec::new();
        for name in table.texts("for") {
            match names.iter().find(|(known, _)| *known == name) {
                Some((_, subject)) => subjects.push(*subject),
                None => {
                    let known: Vec<_> = names.iter().map(|(known, _)| *known).collect();
                    let hint = match nearest(&name, &known) {
                        Some(near) => format!("did you mean {near}?"),
                        None => format!("known are {}", known.join(", ")),
                    };
                    if let Some(item) = table.item("for") {
                        item.problem(format!("{} has {name:?}; {hint}", item.path()));
                    }
                }
            }
        }
        subjects
    }

    fn template(&self, table: &Table<'t>, key: &'static str, scope: Scope) -> Option<Template> {
        let item = table.item(key)?;
        self.template_of(&item, &item.text()?, scope)
    }

    fn params(&self) -> Vec<&str> {
        self.params
            .iter()
            .map(|param| param.name.as_str())
            .collect()
    }
}

fn is_name(name: &str) -> bool {
    (1..=64).contains(&name.len())
        && name
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
}

fn is_param(name: &str) -> bool {
    (1..=64).contains(&name.len())
        && name
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
}

fn header_name(name: &str) -> Option<HeaderName> {
    name.parse().ok()
}
