//! The components in `docs/live.md`, run unchanged in Node with real events. Node has neither React nor Vue nor JSX, so the
//! functions that they import are played, and a component returns the URL of its image.

use crate::{
    support::{Rig, events::Events},
    vendor_samples::printed,
};

/// A stream whose events a test sends, and the queries of a component's image before and after them.
const PAGE: &str = r#"
class EventSource extends EventTarget {}
const query = (src) => new URL(src).searchParams.get('v')
function versions(live, image) {
  const before = query(image())
  for (const event of EVENTS) live.dispatchEvent(new MessageEvent('face', event))
  return [before, query(image())]
}
"#;

/// `useState` and `useEffect` of one component at a time.
const REACT: &str = r#"
let state, effect
const useState = (first) => [state ??= first, (next) => { state = next }]
const useEffect = (run) => { effect ??= run() }
"#;

/// Draws the component with each JID, and prints the versions.
const REACT_PAGE: &str = r#"
for (const jid of JIDS) {
  console.log(jid, ...versions(live, () => Face({ jid, query: 'sig=a' })))
  effect()
  state = effect = undefined
}
"#;

/// The functions of Vue of one component at a time.
const VUE: &str = r#"
let given
const defineProps = () => given
const ref = (value) => ({ value })
const onMounted = (run) => run()
const onUnmounted = () => {}
"#;

/// The code of the page in this language, without its imports.
fn code(language: &str) -> String {
    let docs = include_str!("../../docs/live.md");
    let (_, rest) = docs.split_once(&format!("```{language}\n")).unwrap();
    let lines = rest.split_once("\n```").unwrap().0.lines();
    let kept: Vec<_> = lines.filter(|line| !line.starts_with("import ")).collect();
    kept.join("\n")
}

/// The text between two others, which have to be there.
fn between<'a>(text: &'a str, start: &str, end: &str) -> &'a str {
    let (_, rest) = text.split_once(start).unwrap();
    rest.split_once(end).unwrap().0
}

/// Sends the events of these faces to a component, with each JID as its own, and asserts which of them it shows anew.
async fn assert_swaps(program: impl Fn(&str) -> String, asked: &[&str], swapped: &[&str]) {
    let rig = Rig::start().await;
    let mut live = Events::open(&rig.address(), "/live/wawp", &[]).await;
    assert_eq!(live.next().await.kind, "ready");
    let mut events = Vec::new();
    for jid in asked {
        rig.face("wawp", jid).await;
        let event = live.next().await;
        events.push(serde_json::json!({ "data": event.data.to_string(), "lastEventId": event.id }));
    }
    let last = events.last().unwrap()["lastEventId"].as_str().unwrap();
    let events = serde_json::json!(events);
    for (jid, version) in swapped
        .iter()
        .map(|jid| (*jid, last))
        .chain([("628100000009@c.us", "null")])
    {
        let given = format!("const EVENTS = {events}, JIDS = ['{jid}']\n{PAGE}");
        let said = printed("node", "page.mjs", format!("{given}{}", program(jid))).await;
        assert_eq!(said.trim(), format!("{jid} null {version}"));
    }
}

fn react(_: &str) -> String {
    let component = code("jsx");
    let image = between(&component, "return <img src={", "} width=");
    let (above, _) = component.split_once("return <img ").unwrap();
    format!("{REACT}{above}return {image}\n}}\n{REACT_PAGE}")
}

fn vue(jid: &str) -> String {
    let component = code("vue");
    let script = between(&component, "<script setup>", "</script>");
    let image = between(&component, "<img :src=\"", "\" width=");
    // A template reads the value of a reference by the reference's name.
    let image = format!("(({{ jid, query }}, version) => {image})(props, version.value)");
    format!(
        "{VUE}const live = new EventSource()\ngiven = {{ jid: '{jid}', query: 'sig=a' }}\n{script}\n\
         console.log(props.jid, ...versions(live, () => {image}))"
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn the_components_of_react_and_vue_swap_a_face_that_is_asked_for_by_its_other_spelling() {
    let both = ["558481234567@c.us", "5584981234567@c.us"];
    assert_swaps(react, &both[1..], &both).await;
    assert_swaps(vue, &both[1..], &both).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_components_of_react_and_vue_swap_the_account_s_own_face() {
    assert_swaps(react, &["me"], &["me"]).await;
    assert_swaps(vue, &["me"], &["me"]).await;
}
