//! A bare hyper server, as the lower bound of all servers written with hyper: one thread, a response from memory with
//! eight headers. It speaks HTTP/1.1; with `--http2` HTTP/2; with `--tls CERTIFICATE KEY` either, over TLS, as ALPN says. With
//! `--work-stealing` it runs on tokio's other runtime, with a thread for each core. With `--origin` it is the origin of the
//! compared servers: it has pictures of any length, a different one for each number, and links to them in WAHA's form, and
//! sends each response after `MILLIS`. Its pictures of the length `photo` are the files `NUMBER.png` in `PHOTOS`, which decoders
//! can read.

mod picture;

use std::{convert::Infallible, fs, net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};

use bytes::Bytes;
use http_body_util::Full;
use hyper::{
    Request, Response,
    body::Incoming,
    header,
    header::HeaderValue,
    rt::{Read, Write},
    server::conn::{http1, http2},
    service::service_fn,
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::{net::TcpListener, runtime, time};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        ServerConfig,
        pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    },
};

use picture::jpeg;

const USAGE: &str = "floor ADDRESS --origin MILLIS PHOTOS
floor ADDRESS BYTES [--work-stealing | --http2 | --tls CERTIFICATE KEY]";

/// The server's answer.
struct Answers {
    /// The address, for links.
    address: SocketAddr,
    /// The one body of a server that is no origin.
    fixed: Option<Bytes>,
    /// The folder of the photos.
    photos: PathBuf,
    delay: Duration,
}

fn main() {
    let args: Vec<String> = std::env::args().collect();
    let [_, address, role, rest @ ..] = args.as_slice() else {
        eprintln!("{USAGE}");
        return;
    };
    let flag = rest.first().map(String::as_str);
    let mut runtime = match flag {
        Some("--work-stealing") => runtime::Builder::new_multi_thread(),
        _ => runtime::Builder::new_current_thread(),
    };
    let acceptor = match rest {
        [flag, certificate, key] if flag == "--tls" => Some(acceptor(certificate, key)),
        _ => None,
    };
    let http2 = flag == Some("--http2");
    let address: SocketAddr = address.parse().expect("an address and port");
    let millis = flag.and_then(|millis| millis.parse().ok());
    let answers = Arc::new(Answers {
        address,
        fixed: role.parse().ok().map(|length| jpeg(0, length)),
        photos: rest.get(1).map(PathBuf::from).unwrap_or_default(),
        delay: Duration::from_millis(millis.unwrap_or_default()),
    });
    let runtime = runtime.enable_all().build().expect("a runtime");
    // A task, because the thread of `block_on` is not a worker of the work-stealing runtime.
    let served = runtime.spawn(serve(answers, acceptor, http2));
    runtime.block_on(served).expect("no panic");
}

/// TLS with rustls' own settings.
fn acceptor(certificate: &str, key: &str) -> TlsAcceptor {
    let certificate = CertificateDer::from_pem_file(certificate).expect("a certificate");
    let key = PrivateKeyDer::from_pem_file(key).expect("a key");
    let mut config = ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .expect("a certificate and its key");
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    TlsAcceptor::from(Arc::new(config))
}

async fn serve(answers: Arc<Answers>, acceptor: Option<TlsAcceptor>, http2: bool) {
    let address = answers.address;
    let listener = TcpListener::bind(address).await.expect("a free port");
    println!("listening on {address}");
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            continue;
        };
        let _ = stream.set_nodelay(true);
        let (answers, acceptor) = (answers.clone(), acceptor.clone());
        tokio::spawn(async move {
            let Some(acceptor) = acceptor else {
                return serve_stream(TokioIo::new(stream), answers, http2).await;
            };
            if let Ok(stream) = acceptor.accept(stream).await {
                let http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
                serve_stream(TokioIo::new(stream), answers, http2).await;
            }
        });
    }
}

async fn serve_stream(
    stream: impl Read + Write + Unpin + Send + 'static,
    answers: Arc<Answers>,
    http2: bool,
) {
    let service = service_fn(move |request| {
        let answer = match &answers.fixed {
            Some(body) => from_memory(body.clone()),
            None => from_origin(&request, &answers),
        };
        let delay = answers.delay;
        async move {
            if !delay.is_zero() {
                time::sleep(delay).await;
            }
            Ok::<_, Infallible>(answer)
        }
    });
    // Clients that leave are no fault.
    if http2 {
        let builder = http2::Builder::new(TokioExecutor::new());
        let _ = builder.serve_connection(stream, service).await;
    } else {
        let builder = http1::Builder::new();
        let _ = builder.serve_connection(stream, service).await;
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
fn from_origin(request: &Request<Incoming>, answers: &Answers) -> Response<Full<Bytes>> {
    let address = answers.address;
    let parts: Vec<&str> = request.uri().path().split('/').collect();
    let digits = |text: &str| -> u64 {
        let digits = text.chars().take_while(char::is_ascii_digit);
        digits.collect::<String>().parse().unwrap_or_default()
    };
    let (media, body) = match parts.as_slice() {
        ["", "img", "photo", name] => {
            let photo = answers.photos.join(format!("{}.png", digits(name)));
            ("image/png", fs::read(photo).unwrap_or_default().into())
        }
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
