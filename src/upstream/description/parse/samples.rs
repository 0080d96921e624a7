//! Reads samples.

use super::Loader;
use crate::upstream::description::{
    sample::{CallKind, Sample},
    table::Table,
};

impl<'t> Loader<'t> {
    pub(super) fn read_samples(&self) -> Vec<Sample> {
        let tables = self.table.tables("sample").into_iter();
        tables.map(|table| self.read_sample(table)).collect()
    }

    fn read_sample(&self, table: Table<'t>) -> Sample {
        let call = table.text("call").unwrap_or_else(|| "picture".to_owned());
        let mut calls = CallKind::NAMES.into_iter();
        let call = match calls.find(|(name, _)| *name == call) {
            Some((_, call)) => call,
            None => {
                let known = CallKind::NAMES.map(|(name, _)| name).join(", ");
                table.problem(format!("sample.call is {call:?}; known are {known}"));
                CallKind::Picture
            }
        };
        let ask = table.text("ask").and_then(|text| match text.parse() {
            Ok(subject) => Some(subject),
            Err(error) => {
                if let Some(item) = table.item("ask") {
                    item.problem(format!("sample.ask is {text:?}: {error}"));
                }
                None
            }
        });
        let body = table.text("body").and_then(|text| {
            let body = serde_json::from_str(&text);
            if body.is_err() {
                table.problem("sample.body is no JSON; write it in single quotes, as '{\"number\":\"628123\"}'".to_owned());
            }
            body.ok()
        });
        let status = table.number("status").unwrap_or(200);
        let status = u16::try_from(status).ok();
        let status = status.and_then(|status| http::StatusCode::from_u16(status).ok());
        if status.is_none() {
            table.problem("sample.status is no HTTP status; write a number such as 404".to_owned());
        }
        let sample = Sample {
            from: table
                .required("from", "write whose word it is, or \"assumed\"")
                .unwrap_or_default(),
            call,
            ask,
            refresh: table.flag("refresh").unwrap_or(false),
            sends: table.text("sends"),
            body,
            status: status.unwrap_or_default(),
            reply: table.text("reply"),
            gives: table.text("gives"),
        };
        table.finish();
        sample
    }
}
