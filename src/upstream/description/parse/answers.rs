//! Reads answers.

use http::StatusCode;

use super::{Loader, MAX_RULES, values::MAX_DEPTH};
use crate::upstream::description::{
    answer::{AnswerBody, AnswerForm, AnswerKind},
    request::Json,
    table::{Table, nearest},
    template::{Placeholder, Scope},
};

impl<'t> Loader<'t> {
    pub(super) fn read_answers(&self) -> Vec<AnswerForm> {
        let tables = self.table.tables("answer");
        if tables.len() > MAX_RULES {
            self.table
                .problem(format!("has more than {MAX_RULES} answers; drop some"));
        }
        let answers = tables.into_iter();
        answers.map(|table| self.read_answer(table)).collect()
    }

    fn read_answer(&self, table: Table<'t>) -> AnswerForm {
        let to = self.kinds(&table);
        let subjects = self.subjects(&table);
        let status = table.number("status").and_then(|number| {
            let status = u16::try_from(number).ok();
            let status = status.and_then(|number| StatusCode::from_u16(number).ok());
            let status = status.filter(|status| (200..600).contains(&status.as_u16()));
            if status.is_none() {
                table.problem(
                    "answer.status is no status from 200 to 599; write a number such as 404"
                        .to_owned(),
                );
            }
            status
        });
        let json = table.item("json");
        let json = json.and_then(|item| self.json(&item, Scope::Answer, MAX_DEPTH));
        let text = self.template(&table, "text", Scope::Answer);
        let body = match (json, text) {
            (Some(json), None) => AnswerBody::Json(json),
            (None, Some(text)) => AnswerBody::Text(text),
            _ => {
                table.derived(
                    "an answer needs either json or text; write json = { } or text = \"\""
                        .to_owned(),
                );
                AnswerBody::Json(Json::Object(Vec::new()))
            }
        };
        let has_link = match &body {
            AnswerBody::Json(json) => json.has(&Placeholder::Link),
            AnswerBody::Text(text) => text.placeholders().any(|of| *of == Placeholder::Link),
        };
        if to.contains(&AnswerKind::Picture) && !has_link {
            table.derived("an answer to \"picture\" needs {link} in its json or text".to_owned());
        }
        table.finish();
        AnswerForm {
            to,
            subjects,
            status,
            body,
        }
    }

    fn kinds(&self, table: &Table<'t>) -> Vec<AnswerKind> {
        let known = AnswerKind::NAMES.map(|(name, _)| name);
        let written = table.texts("to");
        if written.is_empty() {
            let remedy = format!("write one or several of {}", known.join(", "));
            table.missing("to", &remedy);
        }
        let kinds = written.iter().filter_map(|name| {
            let mut names = AnswerKind::NAMES.into_iter();
            let kind = names.find(|(known, _)| known == name);
            if kind.is_none() {
                let hint = match nearest(name, &known) {
                    Some(near) => format!("did you mean {near}?"),
                    None => format!("write one of {}", known.join(", ")),
                };
                if let Some(item) = table.item("to") {
                    item.problem(format!("{} has {name:?}; {hint}", item.path()));
                }
            }
            kind.map(|(_, kind)| kind)
        });
        kinds.collect()
    }
}
