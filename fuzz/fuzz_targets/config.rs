//! A configuration is right, or every problem has a key and a remedy; and no problem tells a secret.
#![no_main]

use faceplate::config;
use libfuzzer_sys::fuzz_target;

const SECRET: &str = "a-secret-that-nobody-may-see";

fuzz_target!(|text: &str| {
    // A file's content is the file's, not the fuzzer's, and some files never end.
    if text.contains("file:") || text.contains(".pem") {
        return;
    }
    // Written in the open, of whatever type, it is nobody's business either.
    for value in [format!("[\"{SECRET}\"]"), format!("{{ a = \"{SECRET}\" }}")] {
        let misplaced = text.replace("\"env:VENDOR_TOKEN\"", &value);
        if let Err(problems) = config::from_text("fuzzed", &misplaced, [("", ""); 0].into_iter()) {
            assert!(!problems.to_string().contains(SECRET));
        }
    }
    let env = ["VENDOR_TOKEN", "FACEPLATE_SIGNING_KEY"].map(|name| (name, SECRET));
    if let Err(problems) = config::from_text("fuzzed", text, env.into_iter()) {
        assert!(!problems.0.is_empty());
        for problem in &problems.0 {
            assert!(!problem.remedy.is_empty());
        }
        assert!(!problems.to_string().contains(SECRET));
    }
});
