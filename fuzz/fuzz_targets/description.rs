//! Descriptions of gateways, and what they make of accounts and replies.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: faceplate::fuzz::DescriptionInput<'_>| faceplate::fuzz::description(input));
