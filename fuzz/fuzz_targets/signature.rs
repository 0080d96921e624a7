//! A signature is good for what was signed, and for nothing else.
#![no_main]

use faceplate::http::{Scope, SigningKey, Ticket, fuzzed_signature};
use libfuzzer_sys::fuzz_target;
use secrecy::SecretString;

fuzz_target!(|input: (&str, &str, &str, u64, bool, bool)| {
    let (key, instance, given, expires, refresh, whole) = input;
    let key = SigningKey::new(&SecretString::from(key));
    let Ok(subject) = "628100000001@c.us".parse() else {
        return;
    };
    let ticket = Ticket {
        scope: if whole {
            Scope::Instance
        } else {
            Scope::Face(subject)
        },
        expires,
        refresh,
    };
    let query = key.query(instance, &ticket);
    let signature = query
        .split('&')
        .find_map(|pair| pair.strip_prefix("sig="))
        .unwrap_or_default();
    assert!(fuzzed_signature(&key, signature, instance, &ticket));
    // Whatever else is given is wrong.
    assert!(given == signature || !fuzzed_signature(&key, given, instance, &ticket));
    for other in [
        Ticket {
            expires: expires ^ 1,
            ..ticket
        },
        Ticket {
            refresh: !refresh,
            ..ticket
        },
        Ticket {
            scope: if whole {
                Scope::Face(subject)
            } else {
                Scope::Instance
            },
            ..ticket
        },
    ] {
        assert!(!fuzzed_signature(&key, signature, instance, &other));
    }
    let elsewhere = format!("{instance}x");
    assert!(!fuzzed_signature(&key, signature, &elsewhere, &ticket));
});
