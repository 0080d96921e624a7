//! Reads rules, and the conditions of events.

use toml::de::DeValue;

use super::{Loader, MAX_RULES, values::literal};
use crate::upstream::description::{
    rule::{Rule, StatusPattern, Test, Then},
    table::{Item, Table, nearest},
};

impl<'t> Loader<'t> {
    pub(super) fn read_rules(&self) -> Vec<Rule> {
        let tables = self.table.tables("reply");
        if tables.len() > MAX_RULES {
            self.table
                .problem(format!("has more than {MAX_RULES} rules; drop some"));
        }
        tables
            .into_iter()
            .map(|table| self.read_rule(table))
            .collect()
    }

    fn read_rule(&self, table: Table<'t>) -> Rule {
        let statuses = table
            .item("status")
            .map(|item| item.items())
            .unwrap_or_default();
        let statuses: Vec<_> = statuses.iter().filter_map(status).collect();
        let at = self.pointer(&table, "at");
        let test = self.test(&table);
        let then = self.then(&table);
        let rule = Rule {
            statuses,
            at,
            test,
            then,
            why: table.text("why"),
        };
        let is_about_errors =
            !rule.statuses.is_empty() && rule.statuses.iter().all(|pattern| pattern.is_error());
        match (&rule.test, &rule.at) {
            (Test::Is(_) | Test::Absent(_), None) => {
                table.derived("the rule compares nothing; say with at which member".to_owned());
            }
            (Test::Has(_), None) | (Test::Always, _) if !is_about_errors => table.derived(
                "a rule that looks at no member with at needs an error status: the text of a success belongs to others; write status = [404] or at = \"/error\""
                    .to_owned(),
            ),
            _ => {}
        }
        if then == Then::Words && rule.test != Test::Always {
            table.derived(
                "then = \"words\" needs no is, has or absent; the words are its condition"
                    .to_owned(),
            );
        }
        table.finish();
        rule
    }

    /// The condition of an event.
    pub(super) fn condition(&self, table: &Table<'t>) -> Rule {
        let rule = Rule {
            statuses: Vec::new(),
            at: self.pointer(table, "at"),
            test: self.test(table),
            then: Then::Empty(crate::avatar::Empty::Unknown),
            why: None,
        };
        if rule.at.is_none() || !matches!(rule.test, Test::Is(_) | Test::Has(_)) {
            table.derived(
                "hook.event needs at, and is or has, to choose its events; write at = \"/event\" and is = [\"contacts.update\"]".to_owned(),
            );
        }
        rule
    }

    fn test(&self, table: &Table<'t>) -> Test {
        let written = ["is", "has", "absent"].iter().filter(|key| table.has(key));
        if written.count() > 1 {
            table.problem("is, has and absent exclude each other; write two rules".to_owned());
        }
        let is = table
            .item("is")
            .map(|item| item.items())
            .unwrap_or_default();
        let is: Vec<_> = is.iter().filter_map(literal).collect();
        let has = table.texts("has");
        let absent = table.flag("absent");
        if !is.is_empty() {
            Test::Is(is)
        } else if !has.is_empty() {
            Test::Has(has.iter().map(|text| text.to_lowercase()).collect())
        } else {
            absent.map_or(Test::Always, Test::Absent)
        }
    }

    fn then(&self, table: &Table<'t>) -> Then {
        let known = Then::NAMES.map(|(name, _)| name);
        let remedy = format!("write one of {}", known.join(", "));
        let Some(written) = table.required("then", &remedy) else {
            return Then::Words;
        };
        let mut names = Then::NAMES.into_iter();
        match names.find(|(name, _)| *name == written) {
            Some((_, then)) => then,
            None => {
                let hint = match nearest(&written, &known) {
                    Some(near) => format!("did you mean {near}?"),
                    None => format!("write one of {}", known.join(", ")),
                };
                if let Some(item) = table.item("then") {
                    item.problem(format!("{} is {written:?}; {hint}", item.path()));
                }
                Then::Words
            }
        }
    }
}

fn status(item: &Item<'_>) -> Option<StatusPattern> {
    let one = item.number().and_then(|number| u16::try_from(number).ok());
    if let Some(status) = one.filter(|status| (100..600).contains(status)) {
        return Some(StatusPattern::One(status));
    }
    if let DeValue::String(text) = item.value()
        && let [class @ b'1'..=b'5', b'x', b'x'] = text.as_bytes()
    {
        return Some(StatusPattern::Class(u16::from(class - b'0')));
    }
    item.wrong("a status such as 404 or \"5xx\"")
}
