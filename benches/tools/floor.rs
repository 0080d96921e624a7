//! A bare hyper server, as the lower bound of all servers written with hyper: one thread, HTTP/1.1, a response from memory with
//! eight headers. With `--work-stealing` it runs on tokio's other runtime, with a thread for each core. With `--origin` it is
//! the origin of the compared servers: it has pictures of any length, a different one for each number, and links to them in
//! WAHA's form, and sends each response after `MILLIS`.

use std::{convert::Infallible, net::SocketAddr, time::Duration};

use bytes::Bytes;
use http_body_util::Full;
use hyper::{
    Request, Response, body::Incoming, header, header::HeaderValue, server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use tokio::{net::TcpListener, runtime, time};

fn main() {
    let args: Vec<String> = std::env::args().collect();
    let [_, address, role, rest @ ..] = args.as_slice() else {
        eprintln!("floor ADDRESS --origin MILLIS | floor ADDRESS BYTES [--work-stealing]");
        return;
    };
    let mut runtime = match rest {
        [flavor] if flavor == "--work-stealing" => runtime::Builder::new_multi_thread(),
        _ => runtime::Builder::new_current_thread(),
    };
    let runtime = runtime.enable_all().build().expect("a runtime");
    // A task, because the thread of `block_on` is not a worker of the work-stealing runtime.
    let (address, role, rest) = (address.clone(), role.clone(), rest.to_vec());
    let served = runtime.spawn(serve(address, role, rest));
    runtime.block_on(served).expect("no panic");
}

async fn serve(address: String, role: String, rest: Vec<String>) {
    let delay = rest.first().and_then(|millis| millis.parse().ok());
    let delay = Duration::from_millis(delay.unwrap_or_default());
    let address: SocketAddr = address.parse().expect("an address and port");
    let listener = TcpListener::bind(address).await.expect("a free port");
    let fixed = role.parse().ok().map(|length| jpeg(0, length));
    println!("listening on {address}");
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            continue;
        };
        let _ = stream.set_nodelay(true);
        let fixed = fixed.clone();
        tokio::spawn(async move {
            let service = service_fn(move |request| {
                let answer = match &fixed {
                    Some(body) => from_memory(body.clone()),
                    None => from_origin(&request, address),
                };
                async move {
                    if !delay.is_zero() {
                        time::sleep(delay).await;
                    }
                    Ok::<_, Infallible>(answer)
                }
            });
            let _ = http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service)
                .await;
        });
    }
}

/// A response with eight headers, as a careful server sends them with a picture.
fn from_memory(body: Bytes) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body));
    let headers = response.headers_mut();
    for (name, value) in [
        (header::CONTENT_TYPE, "image/jpeg"),
        (header::ETAG, "\"73554c03c4004464c5577ca73c97418f\""),
        (header::LAST_MODIFIED, "Fri, 20 Nov 2026 18:40:00 GMT"),
        (header::CACHE_CONTROL, "private, max-age=86400"),
        (header::ACCESS_CONTROL_ALLOW_ORIGIN, "*"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}

/// The picture of `/img/{length}/{number}.jpg`, or the link to it for `/api/{length}/chats/{number}@c.us/picture`.
fn from_origin(request: &Request<Incoming>, address: SocketAddr) -> Response<Full<Bytes>> {
    let parts: Vec<&str> = request.uri().path().split('/').collect();
    let digits = |text: &str| -> u64 {
        let digits = text.chars().take_while(char::is_ascii_digit);
        digits.collect::<String>().parse().unwrap_or_default()
    };
    let (media, body) = match parts.as_slice() {
        ["", "img", length, name] => ("image/jpeg", jpeg(digits(name), digits(length) as usize)),
        ["", "api", length, "chats", chat, "picture"] => {
            // Phone numbers begin at 6281 0000 0000.
            let number = digits(chat) % 100_000_000;
            let link = format!("{{\"url\":\"http://{address}/img/{length}/{number}.jpg\"}}");
            ("application/json", Bytes::from(link))
        }
        _ => ("text/plain", Bytes::from_static(b"no such picture")),
    };
    let mut response = Response::new(Full::new(body));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(media));
    headers.insert(
        header::CACHE_CONTROL,
        HeaderValue::from_static("max-age=86400"),
    );
    response
}

/// A JPEG of 640×640 pixels and `length` bytes, whose scan holds the number and padding. No decoder can show it; its structure is
/// whole, and has no comments, which would not be stored.
fn jpeg(number: u64, length: usize) -> Bytes {
    const HEAD: [u8; 35] = [
        0xFF, 0xD8, // start of image
        0xFF, 0xC0, 0, 17, 8, 0x02, 0x80, 0x02, 0x80, 3, 1, 0x22, 0, 2, 0x11, 1, 3, 0x11,
        1, // frame
        0xFF, 0xDA, 0, 12, 3, 1, 0, 2, 0x11, 3, 0x11, 0, 0x3F, 0, // scan
    ];
    const END: [u8; 2] = [0xFF, 0xD9];
    let mut bytes = HEAD.to_vec();
    bytes.extend(number.to_string().bytes());
    let padded = length.saturating_sub(END.len()).max(bytes.len());
    bytes.resize(padded, b' ');
    bytes.extend(END);
    Bytes::from(bytes)
}
