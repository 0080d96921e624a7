//! Traces reach a collector, continue the caller's trace, and hold no private data.

use std::sync::{Arc, Mutex};

use crate::support::{
    Answer,
    program::{Program, Running},
};
use faceplate::emulator::{Emulator, Options};
use http_body_util::{BodyExt, Full};
use hyper::{Request, Response, body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use opentelemetry_proto::tonic::{
    collector::trace::v1::ExportTraceServiceRequest, common::v1::any_value::Value, trace::v1::Span,
};
use prost::Message;
use tokio::net::TcpListener;

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const PARENT: &str = "00f067aa0ba902b7";

/// A collector that keeps the traces that it receives.
#[derive(Clone, Default)]
struct Collector(Arc<Mutex<Vec<ExportTraceServiceRequest>>>);

impl Collector {
    async fn start(&self) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let got = self.0.clone();
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let got = got.clone();
                let service = service_fn(move |request: Request<Incoming>| {
                    let got = got.clone();
                    async move {
                        assert_eq!(request.uri().path(), "/v1/traces");
                        let body = request.into_body().collect().await?.to_bytes();
                        let sent = ExportTraceServiceRequest::decode(body).unwrap();
                        got.lock().unwrap().push(sent);
                        Ok::<_, hyper::Error>(Response::new(Full::<hyper::body::Bytes>::default()))
                    }
                });
                tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
            }
        });
        format!("http://{address}")
    }

    fn spans(&self) -> Vec<Span> {
        let got = self.0.lock().unwrap();
        let resources = got.iter().flat_map(|sent| sent.resource_spans.clone());
        let scopes = resources.flat_map(|resource| resource.scope_spans);
        scopes.flat_map(|scope| scope.spans).collect()
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn attribute(span: &Span, key: &str) -> String {
    let found = span
        .attributes
        .iter()
        .find(|attribute| attribute.key == key);
    match found.and_then(|attribute| attribute.value.clone()?.value) {
        Some(Value::StringValue(text)) => text,
        Some(Value::IntValue(number)) => number.to_string(),
        other => panic!("{key}: {other:?} in {span:?}"),
    }
}

/// The spans of a server that samples `percent` of its requests.
async fn traced(percent: &str, headers: &[(&str, &str)]) -> (Vec<Span>, String) {
    traced_behind("127.0.0.1", percent, headers).await
}

/// The same, where these proxies are trusted.
async fn traced_behind(
    proxies: &str,
    percent: &str,
    headers: &[(&str, &str)],
) -> (Vec<Span>, String) {
    let emulator = Emulator::start(Options::default()).await.unwrap();
    let collector = Collector::default();
    let endpoint = collector.start().await;
    let (api, cdn) = (emulator.api(), emulator.cdn());
    let program = Program::before(
        &emulator,
        &format!(
            r#"
            [traces]
            endpoint = "{endpoint}"
            percent = {percent}
            [instances.evolution]
            provider = "evolution"
            account = "shop"
            token = "env:TOKEN"
            base_url = "http://{api}"
            picture_hosts = ["{cdn}"]
            allow_private = ["127.0.0.0/8"]
            "#
        ),
    );
    let mut command = program.command(&["serve"]);
    // The test is a proxy whose traceparent may be believed, unless it says otherwise.
    command.env("FACEPLATE_SERVER__TRUSTED_PROXIES", proxies);
    let mut running = Running::start(command);
    running.wait_for("serving faces");
    let address = running.address("listen");
    for path in [
        "/avatar/waha/628100000001",
        "/avatar/waha/628100000001",
        "/avatar/waha/oops",
        "/avatar/evolution/628100000001",
    ] {
        Answer::to(&address, "GET", path, headers).await;
    }
    // A method that the client makes up may be a phone number.
    Answer::to(&address, "628100000001", "/avatar/waha/1", headers).await;
    running.signal("TERM");
    let (code, output) = tokio::task::spawn_blocking(|| running.end()).await.unwrap();
    assert_eq!(code, Some(0), "{output}");
    (collector.spans(), output)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_and_its_calls_are_spans_of_the_caller_s_trace() {
    let parent = format!("00-{TRACE}-{PARENT}-01");
    let (spans, output) = traced("1", &[("traceparent", &parent)]).await;
    let named = |name: &str| -> Vec<_> { spans.iter().filter(|span| span.name == name).collect() };
    let requests = named("GET avatar");
    assert_eq!(requests.len(), 3, "{spans:#?}");
    for span in &spans {
        assert_eq!(hex(&span.trace_id), TRACE);
    }
    let miss = requests[0];
    assert_eq!(hex(&miss.parent_span_id), PARENT);
    assert_eq!(attribute(miss, "http.response.status_code"), "200");
    assert_eq!(attribute(miss, "faceplate.instance"), "waha");
    assert!(attribute(miss, "faceplate.cache").contains("fwd=uri-miss"));
    assert!(attribute(requests[1], "faceplate.cache").contains("hit"));
    for (request, provider, method) in [(miss, "waha", "GET"), (requests[2], "evolution", "POST")] {
        for (hop, method) in [("api", method), ("cdn", "GET")] {
            let mut calls = named(hop);
            calls.retain(|call| call.parent_span_id == request.span_id);
            assert_eq!(calls.len(), 1, "{spans:#?}");
            assert_eq!(attribute(calls[0], "faceplate.provider"), provider);
            assert_eq!(attribute(calls[0], "http.request.method"), method);
        }
    }
    let refused = named("GET -");
    assert_eq!(attribute(refused[0], "faceplate.reason"), "malformed-jid");
    assert_eq!(named("_OTHER -").len(), 1, "{spans:#?}");
    let all = format!("{spans:?}{output}");
    for private in ["62810000", "oops", "emulator-token", "127.0.0.1:0/"] {
        assert!(!all.contains(private), "{private} in {all}");
    }
    // The log is the same as without traces.
    assert!(
        output.contains("route=\"avatar\"") || output.contains("route=avatar"),
        "{output}"
    );
    assert!(!output.contains("otel"), "{output}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stranger_does_not_decide_what_is_traced() {
    for flags in ["00", "01"] {
        let parent = format!("00-{TRACE}-{PARENT}-{flags}");
        let (spans, _) = traced_behind("192.0.2.1", "100", &[("traceparent", &parent)]).await;
        assert!(spans.len() >= 5, "{spans:#?}");
        assert!(spans.iter().all(|span| hex(&span.trace_id) != TRACE));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_configured_share_of_requests_is_traced() {
    let (spans, _) = traced("100", &[]).await;
    assert!(spans.len() >= 5, "{spans:#?}");
    // The caller's sampling decision is kept.
    let parent = format!("00-{TRACE}-{PARENT}-00");
    let (spans, _) = traced("100", &[("traceparent", &parent)]).await;
    assert_eq!(spans.len(), 0, "{spans:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unreachable_collector_costs_only_the_traces() {
    let emulator = Emulator::start(Options::default()).await.unwrap();
    let program = Program::before(&emulator, "[traces]\nendpoint = \"http://127.0.0.1:1\"");
    let running = program.serve();
    let address = running.address("listen");
    let answer = Answer::to(&address, "GET", "/avatar/waha/628100000001", &[]).await;
    assert_eq!(answer.status, 200);
    running.signal("TERM");
    let (code, _) = tokio::task::spawn_blocking(|| running.end()).await.unwrap();
    assert_eq!(code, Some(0));
}
