//! The names under which the cache keeps the faces of an instance: one for each account that the instance has
//! had. The first account has the instance's own name. So the faces that one account may see are never
//! shown to users of another, and they are there again when the account comes back.

use serde::{Deserialize, Serialize};

use crate::hex;

/// An account at a vendor, as a hash: state files must not show its name.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct AccountId(String);

/// The names of one instance.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccountNames {
    current: AccountId,
    /// Oldest first.
    accounts: Vec<NamedAccount>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct NamedAccount {
    account: AccountId,
    name: String,
}

/// Separates the name of the instance from the mark of a later account. Names of instances have none.
const SEPARATOR: char = '.';

impl AccountId {
    /// The account called `name` with the vendor `provider` at `base`.
    pub fn new(provider: &str, base: &str, name: &str) -> Self {
        let mut hasher = blake3::Hasher::new();
        for part in [provider, base, name] {
            hasher.update(&(part.len() as u64).to_le_bytes());
            hasher.update(part.as_bytes());
        }
        let mut short = [0; 8];
        short.copy_from_slice(&hasher.finalize().as_bytes()[..8]);
        Self(hex::encode::<16>(&short).to_string())
    }
}

impl AccountNames {
    /// The names of `instance` as of now, when it has `account`; `before` is the state that was saved last.
    pub fn new(instance: &str, account: AccountId, before: Option<Self>) -> Self {
        let mut accounts = before.map_or_else(Vec::new, |before| before.accounts);
        if !accounts.iter().any(|known| known.account == account) {
            let is_taken = accounts.iter().any(|known| known.name == instance);
            let name = if is_taken {
                format!("{instance}{SEPARATOR}{}", &account.0[..8])
            } else {
                instance.to_owned()
            };
            let account = account.clone();
            accounts.push(NamedAccount { account, name });
        }
        Self {
            current: account,
            accounts,
        }
    }

    /// Reads a state file.
    pub fn from_json(text: &[u8]) -> Option<Self> {
        serde_json::from_slice(text).ok()
    }

    /// The content of a state file.
    pub fn to_json(&self) -> Vec<u8> {
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// The current account.
    pub fn account(&self) -> &AccountId {
        &self.current
    }

    /// The name of the current account's faces.
    pub fn current(&self) -> &str {
        let mut accounts = self.accounts.iter();
        let current = accounts.find(|known| known.account == self.current);
        current.map_or("", |known| &known.name)
    }

    /// All names, also those of earlier accounts.
    pub fn all(&self) -> impl Iterator<Item = &str> {
        self.accounts.iter().map(|known| &*known.name)
    }

    /// The names of the faces of earlier accounts.
    pub fn earlier(&self) -> impl Iterator<Item = &str> {
        let accounts = self.accounts.iter();
        let earlier = accounts.filter(|known| known.account != self.current);
        earlier.map(|known| &*known.name)
    }

    /// Removes an earlier account whose faces are gone. Returns whether there was one of this name.
    pub fn remove(&mut self, name: &str) -> bool {
        let before = self.accounts.len();
        let current = &self.current;
        self.accounts
            .retain(|known| known.name != name || known.account == *current);
        self.accounts.len() < before
    }

    /// The name of the state file of `instance`.
    pub fn state_name(instance: &str) -> String {
        format!("{instance}{SEPARATOR}account")
    }
}

/// The instance whose faces or states have this name on disk.
pub fn instance_of(name: &str) -> &str {
    name.split_once(SEPARATOR)
        .map_or(name, |(instance, _)| instance)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn account(name: &str) -> AccountId {
        AccountId::new("waha", "https://waha.example/", name)
    }

    #[test]
    fn each_account_of_an_instance_keeps_a_name_of_its_own() {
        let first = AccountNames::new("sales", account("a"), None);
        assert_eq!(first.current(), "sales");
        let second = AccountNames::new("sales", account("b"), Some(first));
        assert!(second.current().starts_with("sales."));
        assert_eq!(instance_of(second.current()), "sales");
        assert_eq!(second.earlier().collect::<Vec<_>>(), ["sales"]);
        let saved = AccountNames::from_json(&second.to_json());
        let back = AccountNames::new("sales", account("a"), saved);
        assert_eq!(back.current(), "sales");
        assert_eq!(back.earlier().collect::<Vec<_>>(), [second.current()]);
    }

    #[test]
    fn only_an_earlier_account_can_be_removed() {
        let first = AccountNames::new("sales", account("a"), None);
        let mut names = AccountNames::new("sales", account("b"), Some(first));
        let current = names.current().to_owned();
        assert!(!names.remove(&current));
        assert!(names.remove("sales"));
        assert_eq!(names.earlier().count(), 0);
        assert_eq!(names.current(), current);
    }

    #[test]
    fn an_account_is_its_vendor_its_url_and_its_name() {
        let ids = [
            AccountId::new("waha", "https://a/", "x"),
            AccountId::new("wappfy", "https://a/", "x"),
            AccountId::new("waha", "https://b/", "x"),
            AccountId::new("waha", "https://a/", "y"),
            AccountId::new("waha", "https://a/x", ""),
        ];
        for (index, id) in ids.iter().enumerate() {
            assert!(!ids[..index].contains(id));
        }
    }
}
