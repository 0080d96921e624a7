//! The address guard, checked by the connections that Faceplate makes.

use std::{
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use crate::support::{
    Answer,
    program::{Program, Running},
    rig::Settings,
};
use faceplate::{
    emulator::{Emulator, Options},
    upstream::{Guard, GuardError, Resolver},
};

const FACE: &str = "628100000001";

/// Addresses of IANA's special-purpose registries, and IPv4 addresses embedded in IPv6.
const SPECIAL: &[&str] = &[
    // IPv4
    "0.0.0.0",
    "0.1.2.3",
    "10.0.0.0",
    "10.255.255.255",
    "100.64.0.0",
    "100.127.255.255",
    "127.0.0.0",
    "127.0.0.1",
    "127.255.255.255",
    "169.254.0.1",
    "169.254.169.254",
    "172.16.0.0",
    "172.31.255.255",
    "192.0.0.0",
    "192.0.0.8",
    "192.0.0.170",
    "192.0.2.1",
    "192.31.196.1",
    "192.52.193.1",
    "192.88.99.1",
    "192.168.0.0",
    "192.168.255.255",
    "192.175.48.1",
    "198.18.0.1",
    "198.19.255.255",
    "198.51.100.1",
    "203.0.113.255",
    "224.0.0.1",
    "239.255.255.255",
    "240.0.0.1",
    "255.255.255.254",
    "255.255.255.255",
    // IPv6
    "::",
    "::1",
    "100::",
    "100::1",
    "2001::",
    "2001:1::1",
    "2001:2::1",
    "2001:3::1",
    "2001:4:112::1",
    "2001:10::1",
    "2001:20::1",
    "2001:30::1",
    "2001:db8::",
    "2001:db8:ffff::1",
    "2620:4f:8000::1",
    "3fff::1",
    "3fff:fff::1",
    "4000::1",
    "5f00::1",
    "fc00::1",
    "fd12:3456:789a::1",
    "fe80::1",
    "febf::1",
    "fec0::1",
    "ff00::1",
    "ff02::1",
    "ff0e::1",
    "64:ff9b:1::1",
    // Mapped
    "::ffff:10.0.0.1",
    "::ffff:127.0.0.1",
    "::ffff:169.254.169.254",
    "::ffff:192.168.0.1",
    // Compatible
    "::10.0.0.1",
    "::127.0.0.1",
    "::192.168.0.1",
    // Translated
    "::ffff:0:10.0.0.1",
    "::ffff:0:127.0.0.1",
    // 6to4
    "2002:a00:1::",
    "2002:7f00:1::1",
    "2002:a9fe:a9fe::",
    "2002:c0a8:1::",
    // Teredo, with the client's address inverted
    "2001:0:4136:e378:8000:63bf:f5ff:fffe",
    "2001:0:4136:e378:8000:63bf:80ff:fffe",
    // NAT64
    "64:ff9b::a00:1",
    "64:ff9b::7f00:1",
    "64:ff9b::a9fe:a9fe",
    "64:ff9b::c0a8:1",
    // ISATAP
    "2a00:1450:4001::5efe:a00:1",
    "2a00:1450:4001::200:5efe:c0a8:1",
    "fe80::5efe:a00:1",
];

const PUBLIC: &[&str] = &[
    "1.1.1.1",
    "8.8.8.8",
    "9.255.255.255",
    "11.0.0.1",
    "100.63.255.255",
    "100.128.0.1",
    "157.240.1.60",
    "172.15.255.255",
    "172.32.0.1",
    "192.167.255.255",
    "192.169.0.1",
    "198.17.255.255",
    "198.20.0.1",
    "223.255.255.255",
    "2a03:2880:f1::1",
    "2606:4700::1111",
    "2001:4860:4860::8888",
    "64:ff9b::101:101",
    "::ffff:1.1.1.1",
    "2002:101:101::1",
];

#[test]
fn the_guard_judges_a_hundred_addresses_correctly() {
    let guard = Guard::default();
    assert!(SPECIAL.len() >= 80);
    for text in SPECIAL {
        let address: IpAddr = text.parse().unwrap();
        assert_eq!(
            guard.check_address(address, true),
            Err(GuardError::Address),
            "{text}"
        );
    }
    for text in PUBLIC {
        let address: IpAddr = text.parse().unwrap();
        assert_eq!(guard.check_address(address, true), Ok(()), "{text}");
        assert_eq!(
            guard.check_address(address, false),
            Err(GuardError::PlainHttp),
            "{text}"
        );
    }
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

#[tokio::test]
async fn a_name_that_leads_to_a_forbidden_address_is_not_followed() {
    let rig = Settings::default()
        .cdn_host("cdn.test")
        .instance("allow_private = [\"127.0.0.1/32\"]")
        .resolver(Resolver::from_fn(|_| {
            vec![ip("127.0.0.2"), ip("10.0.0.1"), ip("::1")]
        }))
        .start()
        .await;
    rig.face("waha", FACE).await.assert_fallback("vendor_error");
    assert_eq!(rig.traffic(), (1, 0));
}

#[tokio::test]
async fn only_the_allowed_addresses_of_a_name_are_dialed() {
    let rig = Settings::default()
        .cdn_host("cdn.test")
        .instance("allow_private = [\"127.0.0.1/32\"]")
        .resolver(Resolver::from_fn(|_| {
            vec![ip("127.0.0.2"), ip("127.0.0.1")]
        }))
        .start()
        .await;
    rig.face("waha", FACE)
        .await
        .assert_picture(&rig.bytes(FACE));
}

#[tokio::test]
async fn a_name_with_changing_addresses_is_judged_by_the_address_that_is_dialed() {
    let asked = Arc::new(AtomicUsize::new(0));
    let count = asked.clone();
    let rig = Settings::default()
        .cdn_host("cdn.test")
        .instance("allow_private = [\"127.0.0.1/32\"]")
        // The second look-up would return a forbidden address.
        .resolver(Resolver::from_fn(move |_| {
            let is_first = count.fetch_add(1, Ordering::SeqCst) == 0;
            vec![ip(if is_first { "127.0.0.1" } else { "127.0.0.2" })]
        }))
        .start()
        .await;
    let trap = std::net::TcpListener::bind(("127.0.0.2", rig.emulator.cdn().port())).unwrap();
    trap.set_nonblocking(true).unwrap();
    rig.face("waha", FACE)
        .await
        .assert_picture(&rig.bytes(FACE));
    assert_eq!(asked.load(Ordering::SeqCst), 1);
    assert!(trap.accept().is_err());
}

#[tokio::test]
async fn a_host_that_is_not_listed_is_not_resolved() {
    let rig = Settings::default()
        .cdn_host("evil.test")
        .instance("picture_hosts = [\"*.whatsapp.net\"]")
        .resolver(Resolver::from_fn(|_| panic!("looked up")))
        .start()
        .await;
    rig.face("waha", FACE).await.assert_fallback("vendor_error");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proxy_in_the_environment_is_not_used() {
    let emulator = Emulator::start(Options::default()).await.unwrap();
    let program = Program::before(&emulator, "");
    let proxy = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    proxy.set_nonblocking(true).unwrap();
    let url = format!("http://{}", proxy.local_addr().unwrap());
    let mut command = program.command(&["serve"]);
    for name in ["HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "ALL_PROXY"] {
        command.env(name, &url);
    }
    let mut running = Running::start(command);
    running.wait_for("serving faces");
    let path = format!("/avatar/waha/{FACE}");
    let answer = Answer::to(&running.address("listen"), "GET", &path, &[]).await;
    answer.assert_picture(&emulator.control().face_bytes(FACE).unwrap());
    assert!(proxy.accept().is_err());
}
