//! A JID is canonical once it exists: it reads as itself, and is short.
#![no_main]

use faceplate::avatar::Subject;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let Ok(subject) = text.parse::<Subject>() else {
        return;
    };
    let canonical = subject.as_str();
    assert!(canonical.len() <= 48);
    assert_eq!(canonical.parse(), Ok(subject));
    // One person, one spelling.
    if let Some(user) = canonical.strip_suffix("@c.us") {
        assert_eq!(format!("{user}@s.whatsapp.net").parse(), Ok(subject));
        assert_eq!(format!("+{user}").parse(), Ok(subject));
    }
});
