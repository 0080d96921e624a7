//! Reads the calls beside pictures, the hook and the defaults.

use super::Loader;
use crate::upstream::description::{
    Defaults,
    event::{EventReader, HookReader},
    lists::{ChatLister, Cost, LidCall, Paging, SessionCall},
    parse::values::literal,
    table::Table,
    template::Scope,
};

impl<'t> Loader<'t> {
    pub(super) fn read_chats(&self) -> Option<ChatLister> {
        let table = self.table.table("chats")?;
        let cursor = self.pointer(&table, "cursor");
        let paging = match (table.text("page").as_deref(), cursor) {
            (None, None) => None,
            (Some("offset"), None) => Some(Paging::Offset),
            (Some("page"), None) => Some(Paging::Page),
            (Some("cursor"), Some(at)) => Some(Paging::Cursor(at)),
            (Some("cursor"), None) => {
                table.missing(
                    "cursor",
                    "say which member of the last row leads on, as cursor = \"/id\"",
                );
                None
            }
            (page, _) => {
                let page = page.map_or("missing".to_owned(), |page| format!("{page:?}"));
                table.derived(format!(
                    "chats.page is {page}; write offset, page, or cursor (with cursor = a pointer)"
                ));
                None
            }
        };
        let is_by_rows = table.text_is("cost", "rows");
        let cost = if is_by_rows {
            Cost::Rows
        } else {
            Cost::Fixed(self.cost(&table).unwrap_or(1))
        };
        let chats = ChatLister {
            request: self.request(&table, Scope::Chats),
            rows: self.pointer(&table, "rows"),
            jid: self.some_pointers(&table, "jid"),
            link: self.pointers(&table, "link"),
            same: self.pointer_pairs(&table, "same"),
            paging,
            limit: table.number("limit").map(|limit| limit.max(1) as usize),
            cost,
        };
        table.finish();
        Some(chats)
    }

    pub(super) fn read_session(&self) -> Option<SessionCall> {
        let table = self.table.table("session")?;
        let up = table
            .item("up")
            .map(|item| item.items())
            .unwrap_or_default();
        let up: Vec<_> = up.iter().filter_map(literal).collect();
        if !table.has("up") {
            table.missing(
                "up",
                "write the values that mean: connected to WhatsApp, as up = [\"open\"]",
            );
        } else if up.is_empty() {
            table.derived(
                "session.up has no value; write those that mean: connected to WhatsApp".to_owned(),
            );
        }
        let session = SessionCall {
            request: self.request(&table, Scope::Call),
            at: self.some_pointers(&table, "at"),
            up,
            own: self.pointers(&table, "own"),
            cost: self.cost(&table).unwrap_or(0),
        };
        table.finish();
        Some(session)
    }

    pub(super) fn read_lid(&self) -> Option<LidCall> {
        let table = self.table.table("lid")?;
        let lid = LidCall {
            request: self.request(&table, Scope::Lid),
            phone: self.some_pointers(&table, "phone"),
        };
        table.finish();
        Some(lid)
    }

    pub(super) fn read_hook(&self) -> Option<HookReader> {
        let table = self.table.table("hook")?;
        let events = table.tables("event").into_iter();
        let hook = HookReader {
            account: self.pointers(&table, "account"),
            form: table.text("form"),
            events: events.map(|table| self.read_event(table)).collect(),
        };
        table.finish();
        Some(hook)
    }

    fn read_event(&self, table: Table<'t>) -> EventReader {
        let event = EventReader {
            condition: self.condition(&table),
            each: self.pointer(&table, "each"),
            jid: self.some_pointers(&table, "jid"),
            link: self.pointers(&table, "link"),
            removed: self.pointer(&table, "removed"),
            same: self.pointer_pairs(&table, "same"),
            is_hint: table.flag("hint").unwrap_or(false),
        };
        table.finish();
        event
    }

    pub(super) fn read_defaults(&self) -> Defaults {
        let Some(table) = self.table.table("defaults") else {
            return Defaults::default();
        };
        let hosts = table.texts("picture_hosts");
        let hosts = hosts.iter().filter_map(|host| {
            let pattern = host.parse();
            if pattern.is_err() {
                table.problem(format!(
                    "defaults.picture_hosts has {host:?}, which is no host; write cdn.example or *.cdn.example, without https:// and path"
                ));
            }
            pattern.ok()
        });
        let timeout = table.text("call_timeout");
        let call_timeout = timeout.as_deref().and_then(|text| {
            let seconds = text
                .strip_suffix('s')
                .and_then(|number| number.parse().ok());
            if seconds.is_none() {
                table.problem(format!(
                    "defaults.call_timeout is {text:?}; write seconds, as \"20s\""
                ));
            }
            seconds.map(std::time::Duration::from_secs)
        });
        let defaults = Defaults {
            lookups: self.quota(&table, "lookups"),
            refreshes: self.quota(&table, "refreshes"),
            daily: small(table.number("daily")),
            picture_hosts: hosts.collect(),
            call_timeout,
        };
        table.finish();
        defaults
    }

    fn quota(&self, table: &Table<'t>, key: &'static str) -> Option<(u32, u32)> {
        let quota = table.table(key)?;
        let numbers = (
            small(quota.number("per_minute")),
            small(quota.number("burst")),
        );
        let path = quota.path().to_owned();
        quota.finish();
        match numbers {
            (Some(per_minute), Some(burst)) => Some((per_minute, burst)),
            _ => {
                table.derived(format!(
                    "{path} needs per_minute and burst, from 1; write {{ per_minute = 60, burst = 10 }}"
                ));
                None
            }
        }
    }

    fn cost(&self, table: &Table<'t>) -> Option<usize> {
        let cost = table.number("cost")?;
        usize::try_from(cost).ok()
    }

    fn some_pointers(
        &self,
        table: &Table<'t>,
        key: &'static str,
    ) -> Vec<crate::upstream::description::pointer::Pointer> {
        if !table.has(key) {
            table.missing(key, "write a list of JSON Pointers, as [\"/data/id\"]");
        }
        self.pointers(table, key)
    }
}

fn small(number: Option<u64>) -> Option<u32> {
    number
        .and_then(|number| u32::try_from(number).ok())
        .filter(|number| *number > 0)
}
