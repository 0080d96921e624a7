//! The replies to picture calls in the samples of the descriptions of this program.

use std::sync::LazyLock;

use faceplate::upstream::SHIPPED;
use toml::{Table, Value};

/// A sample of a picture call.
pub struct Published {
    /// The description.
    pub provider: &'static str,
    /// The face asked for.
    pub subject: String,
    pub status: u16,
    pub reply: String,
    /// The result: a word, or `link` and the link.
    pub gives: String,
}

/// All of them, in the order of the files. A description that extends another has its samples, too.
pub fn published() -> &'static [Published] {
    static ALL: LazyLock<Vec<Published>> = LazyLock::new(|| {
        let mut all = Vec::new();
        for (provider, text) in SHIPPED {
            read(provider, text, &mut all);
        }
        all
    });
    &ALL
}

/// A face that the gateway can be asked for.
pub fn usual(provider: &str) -> &'static str {
    if provider == "wachat" {
        "me"
    } else {
        "628100000001@c.us"
    }
}

fn read(provider: &'static str, text: &str, all: &mut Vec<Published>) {
    let description: Table = text.parse().unwrap();
    let samples = description.get("sample").and_then(Value::as_array);
    for sample in samples.into_iter().flatten() {
        let text = |key: &str| sample.get(key).and_then(Value::as_str);
        let (Some(reply), Some(gives), None) = (text("reply"), text("gives"), text("call")) else {
            continue;
        };
        let status = sample.get("status").and_then(Value::as_integer);
        all.push(Published {
            provider,
            subject: text("ask").unwrap_or(usual(provider)).to_owned(),
            status: u16::try_from(status.unwrap_or(200)).unwrap(),
            reply: reply.to_owned(),
            gives: gives.to_owned(),
        });
    }
    let base = description.get("extends").and_then(Value::as_str);
    if let Some((_, base)) = base.and_then(|base| SHIPPED.iter().find(|(name, _)| *name == base)) {
        read(provider, base, all);
    }
}
