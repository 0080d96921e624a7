//! Whether an address is an ordinary one on the public internet, going by IANA's special-purpose
//! address registries (RFC 6890): <https://www.iana.org/assignments/iana-ipv4-special-registry> and
//! <https://www.iana.org/assignments/iana-ipv6-special-registry>.
//!
//! An IPv6 address that leads to an IPv4 address is public only if that one is, too.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{Ipv4Net, Ipv6Net};

/// IANA's IPv4 registry, and multicast.
const SPECIAL_V4: [Ipv4Net; 18] = [
    v4([0, 0, 0, 0], 8),       // "this network", RFC 791 §3.2
    v4([10, 0, 0, 0], 8),      // private use, RFC 1918
    v4([100, 64, 0, 0], 10),   // carrier-grade NAT, RFC 6598
    v4([127, 0, 0, 0], 8),     // loopback, RFC 1122 §3.2.1.3
    v4([169, 254, 0, 0], 16),  // link-local, cloud metadata, RFC 3927
    v4([172, 16, 0, 0], 12),   // private use, RFC 1918
    v4([192, 0, 0, 0], 24),    // IETF protocol assignments, RFC 6890 §2.1
    v4([192, 0, 2, 0], 24),    // documentation, RFC 5737
    v4([192, 31, 196, 0], 24), // AS112, RFC 7535
    v4([192, 52, 193, 0], 24), // AMT, RFC 7450
    v4([192, 88, 99, 0], 24),  // 6to4 relays, RFC 7526
    v4([192, 168, 0, 0], 16),  // private use, RFC 1918
    v4([192, 175, 48, 0], 24), // AS112, RFC 7534
    v4([198, 18, 0, 0], 15),   // benchmarking, RFC 2544
    v4([198, 51, 100, 0], 24), // documentation, RFC 5737
    v4([203, 0, 113, 0], 24),  // documentation, RFC 5737
    v4([224, 0, 0, 0], 4),     // multicast, RFC 5771
    v4([240, 0, 0, 0], 4),     // reserved, and broadcast, RFC 1112 §4, RFC 919 §7
];

/// Global unicast, RFC 4291 §2.4: the only block that IANA allocates from. Loopback, unspecified, unique
/// local, link-local and multicast addresses are outside, and so are the local-use NAT64 prefix
/// (RFC 8215) and the IPv4-mapped, -compatible (RFC 4291 §2.5.5) and -translated (RFC 2765 §2.1) forms.
const GLOBAL_UNICAST: Ipv6Net = v6([0x2000, 0, 0], 3);

/// The entries of IANA's IPv6 registry inside of global unicast, but for Teredo and 6to4.
const SPECIAL_V6: [Ipv6Net; 4] = [
    v6([0x2001, 0, 0], 23),           // IETF protocol assignments, RFC 2928
    v6([0x2001, 0x0DB8, 0], 32),      // documentation, RFC 3849
    v6([0x2620, 0x004F, 0x8000], 48), // AS112, RFC 7534
    v6([0x3FFF, 0, 0], 20),           // documentation, RFC 9637
];

const TEREDO: Ipv6Net = v6([0x2001, 0, 0], 32);
const SIX_TO_FOUR: Ipv6Net = v6([0x2002, 0, 0], 16);
const NAT64: Ipv6Net = v6([0x64, 0xFF9B, 0], 96);

/// Whether `address` may be dialed without the operator's consent.
pub(super) fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    !SPECIAL_V4.iter().any(|net| net.contains(&address))
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    let embedded = teredo(address).or(six_to_four(address)).or(nat64(address));
    if is_isatap(address) {
        return false;
    }
    match embedded {
        Some(inner) => is_public_v4(inner),
        None => {
            GLOBAL_UNICAST.contains(&address)
                && !SPECIAL_V6.iter().any(|net| net.contains(&address))
        }
    }
}

/// The client behind a Teredo address: the last 32 bits, inverted (RFC 4380 §4).
fn teredo(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let [.., a, b, c, d] = address.octets();
    TEREDO
        .contains(&address)
        .then(|| Ipv4Addr::new(!a, !b, !c, !d))
}

/// The router of a 6to4 network: the 32 bits after the prefix (RFC 3056 §2).
fn six_to_four(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let [_, _, a, b, c, d, ..] = address.octets();
    SIX_TO_FOUR
        .contains(&address)
        .then(|| Ipv4Addr::new(a, b, c, d))
}

/// The target of NAT64's well-known prefix: the last 32 bits (RFC 6052 §2.2).
fn nat64(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let [.., a, b, c, d] = address.octets();
    NAT64.contains(&address).then(|| Ipv4Addr::new(a, b, c, d))
}

/// ISATAP, in any network: the interface identifier is 0000:5EFE or, with the bits for universal and
/// group set, up to 0300:5EFE (RFC 5214 §6.1). The tunnel leads into a private network.
fn is_isatap(address: Ipv6Addr) -> bool {
    let [.., high, low, _, _] = address.segments();
    high & 0xFCFF == 0 && low == 0x5EFE
}

const fn v4([a, b, c, d]: [u8; 4], bits: u8) -> Ipv4Net {
    Ipv4Net::new_assert(Ipv4Addr::new(a, b, c, d), bits)
}

const fn v6([a, b, c]: [u16; 3], bits: u8) -> Ipv6Net {
    Ipv6Net::new_assert(Ipv6Addr::new(a, b, c, 0, 0, 0, 0, 0), bits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_embedded_address_decides_for_teredo_6to4_and_nat64() {
        for (embedding, public) in [
            ("2001:0:1::f5ff:fffe", false),   // Teredo, 10.0.0.1
            ("2001:0:1::fefe:fefe", true),    // Teredo, 1.1.1.1
            ("2002:a00:1::", false),          // 6to4, 10.0.0.1
            ("2002:101:101::", true),         // 6to4, 1.1.1.1
            ("64:ff9b::a00:1", false),        // NAT64, 10.0.0.1
            ("64:ff9b::101:101", true),       // NAT64, 1.1.1.1
            ("::ffff:0:101:101", false),      // translated
            ("::101:101", false),             // compatible
            ("2a00::5efe:101:101", false),    // ISATAP
            ("2a00::300:5efe:101:1", false),  // ISATAP, both bits set
            ("64:ff9b:1:101:1:100::", false), // NAT64 of local use
        ] {
            assert_eq!(is_public(embedding.parse().unwrap()), public, "{embedding}");
        }
    }
}
