//! Replies of the vendors.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: faceplate::fuzz::ReplyInput<'_>| faceplate::fuzz::vendor_reply(input));
