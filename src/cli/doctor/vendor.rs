//! Checks one instance: its hosts have addresses that the address guard allows, the vendor accepts the credential, the
//! session works, and the clocks agree.

use std::{iter, time::Duration};

use http::header;

use super::{
    finding::{Finding, Verdict},
    picture,
};
use crate::{
    avatar::{Subject, Trouble},
    clock::{Clock, Timestamp},
    config::{Instance, InstancePattern},
    upstream::{
        Client, ClientError, Link, Question, Resolver, VendorAnswer, VendorCall, VendorFailure,
        VendorReply,
    },
};

/// The largest difference of clocks; beyond it, signatures expire too early or too late.
const LARGEST_SKEW: Duration = Duration::from_secs(60);

pub(super) async fn examine(
    instance: &Instance,
    resolver: &Resolver,
    clock: &Clock,
) -> Vec<Finding> {
    if instance.provider.is_push() {
        return vec![push(instance)];
    }
    let mut findings = hosts(instance, resolver).await;
    if findings[0].verdict != Verdict::Fail {
        findings.extend(session(instance, resolver, clock).await);
    }
    findings
}

/// Checks the hosts of a pattern. Its accounts are not called: there may be thousands.
pub(super) async fn examine_pattern(
    pattern: &InstancePattern,
    resolver: &Resolver,
) -> Vec<Finding> {
    let (template, names) = (&pattern.template, &pattern.names);
    if template.provider.is_push() {
        return vec![push(template)];
    }
    let mut findings = hosts(template, resolver).await;
    findings.push(Finding::ok(
        key(template, "account"),
        format!(
            "not tested, for {names} may be many accounts; doctor --explain NAME JID asks one of them"
        ),
    ));
    findings
}

/// Checks the hosts of an instance. The first finding is about its gateway's; if that failed, it is the only one.
async fn hosts(instance: &Instance, resolver: &Resolver) -> Vec<Finding> {
    let mut findings = vec![base_url(instance, resolver).await];
    if findings[0].verdict == Verdict::Fail {
        return findings;
    }
    for host in picture_hosts(instance) {
        findings.push(picture_host(instance, resolver, &host).await);
    }
    findings
}

fn push(instance: &Instance) -> Finding {
    let about = key(instance, "provider");
    Finding::ok(
        about,
        "programs push the pictures; there is no gateway to check",
    )
}

/// Looks up the vendor's host, and checks its addresses.
async fn base_url(instance: &Instance, resolver: &Resolver) -> Finding {
    let base = &instance.client.base;
    let host = base.host_str().unwrap_or_default();
    let remedy = "check the name, and this machine's /etc/resolv.conf";
    reachable(
        instance,
        resolver,
        host,
        base.scheme() == "https",
        key(instance, "base_url"),
        remedy,
    )
    .await
}

/// The hosts to try. For a pattern with `*`, it is the subdomain that WhatsApp uses.
fn picture_hosts(instance: &Instance) -> Vec<String> {
    let hosts = instance.client.guard.picture_hosts.iter();
    hosts.map(|pattern| pattern.example("pps")).collect()
}

async fn picture_host(instance: &Instance, resolver: &Resolver, host: &str) -> Finding {
    let remedy = "without it no picture can be downloaded; check this machine's DNS";
    let about = key(instance, "picture_hosts");
    // Plain HTTP is allowed only in allowed networks, which the check of the address covers.
    reachable(instance, resolver, host, true, about, remedy).await
}

async fn reachable(
    instance: &Instance,
    resolver: &Resolver,
    host: &str,
    is_secure: bool,
    about: String,
    remedy: &str,
) -> Finding {
    let addresses = match resolver.resolve(host).await {
        Ok(addresses) if !addresses.is_empty() => addresses,
        Ok(_) => return Finding::fail(about, format!("{host} has no address"), remedy),
        Err(error) => {
            return Finding::fail(
                about,
                format!("{host} cannot be looked up: {error}"),
                remedy,
            );
        }
    };
    let guard = &instance.client.guard;
    let verdicts = addresses.iter();
    let mut verdicts = verdicts.map(|address| guard.check_address(*address, is_secure));
    let listed: Vec<_> = addresses.iter().map(ToString::to_string).collect();
    let listed = listed.join(", ");
    match verdicts.find(Result::is_ok) {
        Some(_) => Finding::ok(about, format!("{host} is at {listed}")),
        None => Finding::fail(
            about,
            format!("{host} is at {listed}, which the address guard does not allow"),
            format!(
                "if the address is right, write allow_private = [\"{}/32\"] or its network",
                addresses[0]
            ),
        ),
    }
}

/// Makes one call, for the account's own picture, which shows the state of credential, session and clock. If the answer
/// is "no picture", which some gateways also say while the session is down, asks for the session, too.
async fn session(instance: &Instance, resolver: &Resolver, clock: &Clock) -> Vec<Finding> {
    let about = key(instance, "token");
    let provider = &instance.provider;
    let subject = match instance.account.own {
        Some(own) if !provider.has_own_profile() => Subject::Chat(own),
        _ => Subject::Me,
    };
    let question = Question {
        subject,
        refresh: false,
    };
    let Ok(call) = provider.picture_call(&instance.account, &question) else {
        if let Some((call, _)) = provider.session_call(&instance.account) {
            return session_state(instance, resolver, call).await;
        }
        return vec![Finding::warn(
            about,
            "not tested: this vendor has no call for the account's own picture",
            "write own_jid, the account's own number, and run doctor again",
        )];
    };
    let client = Client::new(instance.client.clone(), resolver.clone());
    let reply = match client.call(&call).await {
        Ok(reply) => reply,
        Err(error) => return vec![call_failed(about, &error)],
    };
    let answer = provider.read_picture(&instance.account, &question, &reply);
    let session = match answer {
        Ok(VendorAnswer::Empty(_)) => provider.session_call(&instance.account),
        _ => None,
    };
    let mut findings = match (answer, session) {
        (_, Some((call, _))) => session_state(instance, resolver, call).await,
        (Ok(VendorAnswer::Bytes(bytes)), None) => vec![match picture::describe(bytes).await {
            Ok(_) => Finding::ok(about, "the vendor accepts it, and the session works"),
            Err(error) => Finding::fail(
                about,
                format!(
                    "the vendor answers {} with no picture: {error}",
                    reply.status
                ),
                "check provider and base_url: another program may answer there, or a page in place of the API",
            ),
        }],
        (Ok(answer), None) => {
            let works = Finding::ok(about, "the vendor accepts it, and the session works");
            let link = match answer {
                VendorAnswer::Link(link) => Link::parse(&link).ok(),
                _ => None,
            };
            let refused = link.and_then(|link| refused_host(instance, &link));
            iter::once(works).chain(refused).collect()
        }
        (Err(failure), None) => vec![call_refused(instance, &failure, &reply)],
    };
    findings.extend(skew(&reply, clock.now()));
    findings
}

/// The finding that the vendor's links lead to another host than those in `picture_hosts`, if they do.
fn refused_host(instance: &Instance, link: &Link) -> Option<Finding> {
    let refusal = instance.client.guard.check_link(link).err()?;
    let host = link.shown_host();
    Some(Finding::fail(
        key(instance, "picture_hosts"),
        format!("the vendor links to a picture on {host}: {refusal}"),
        format!(
            "if that host is the vendor's or WhatsApp's, write it in picture_hosts: \"{host}\""
        ),
    ))
}

/// Asks a gateway for the state of its session.
async fn session_state(instance: &Instance, resolver: &Resolver, call: VendorCall) -> Vec<Finding> {
    let about = key(instance, "token");
    let client = Client::new(instance.client.clone(), resolver.clone());
    let reply = match client.call(&call).await {
        Ok(reply) => reply,
        Err(error) => return vec![call_failed(about, &error)],
    };
    vec![match instance.provider.read_session(&reply) {
        Some(Ok(session)) if session.is_up => {
            Finding::ok(about, "the vendor accepts it, and the session works")
        }
        Some(Err(failure)) => call_refused(instance, &failure, &reply),
        Some(Ok(_)) | None => Finding::fail(
            about,
            "the session is not connected to WhatsApp",
            "start the session at the vendor, and scan its QR code with the phone if it asks for that",
        ),
    }]
}

fn call_failed(about: String, error: &ClientError) -> Finding {
    Finding::fail(
        about,
        format!("the call failed: {error}"),
        "check base_url, and whether this machine may reach it (firewall, egress rules)",
    )
}

fn call_refused(instance: &Instance, failure: &VendorFailure, reply: &VendorReply) -> Finding {
    let about = key(instance, "token");
    let found = format!("the vendor answers {}: {}", reply.status, failure.detail);
    if failure.is_misunderstood {
        let name = &instance.name;
        let remedy = format!(
            "check provider and base_url; if they are right, the gateway has changed: faceplate doctor --explain {name} JID shows how it is read"
        );
        return Finding::fail(about, found, remedy);
    }
    let remedy = match failure.why {
        Trouble::Auth => "check token, account and base_url against the vendor's dashboard",
        Trouble::SessionDown => {
            "start the session at the vendor, and scan its QR code with the phone if it asks for that"
        }
        Trouble::RateLimited => {
            return Finding::warn(about, found, "make no calls with this account for a while");
        }
        _ => "run doctor again in a minute; if it still fails, ask the vendor's support",
    };
    Finding::fail(about, found, remedy)
}

/// The difference between the vendor's clock, if it sends a `Date`, and this machine's.
fn skew(reply: &VendorReply, now: Timestamp) -> Option<Finding> {
    let date = reply.headers.get(header::DATE)?.to_str().ok()?;
    let theirs = httpdate::parse_http_date(date).ok()?;
    let ours = now.as_system_time();
    let off = ours
        .duration_since(theirs)
        .unwrap_or_else(|error| error.duration());
    let found = format!("differs from the vendor's by {} s", off.as_secs());
    Some(if off <= LARGEST_SKEW {
        Finding::ok("clock", found)
    } else {
        Finding::fail(
            "clock",
            found,
            "set this machine's clock (NTP): signatures and links expire by it",
        )
    })
}

/// The path of a key of an instance.
fn key(instance: &Instance, key: &str) -> String {
    format!("instances.{}.{key}", instance.name)
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, StatusCode};

    use super::super::Verdict;
    use super::*;

    #[test]
    fn a_clock_that_is_more_than_a_minute_ahead_or_behind_fails() {
        let now = Timestamp::from_secs(1_795_200_000);
        for (off, verdict) in [
            (0, Verdict::Ok),
            (59, Verdict::Ok),
            (61, Verdict::Fail),
            (-59, Verdict::Ok),
            (-61, Verdict::Fail),
        ] {
            let theirs = Timestamp::from_secs(1_795_200_000_u64.saturating_add_signed(off));
            let mut headers = HeaderMap::new();
            let date = httpdate::fmt_http_date(theirs.as_system_time());
            headers.insert(header::DATE, date.parse().unwrap());
            let reply = VendorReply {
                status: StatusCode::OK,
                headers,
                body: bytes::Bytes::new(),
            };
            assert_eq!(skew(&reply, now).unwrap().verdict, verdict, "{off}");
        }
    }
}
