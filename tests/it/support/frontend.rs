//! A page on an origin of its own.

use std::convert::Infallible;

use http_body_util::Full;
use hyper::{Request, Response, body::Bytes, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;

/// An image that every browser can show.
const DOT: &str = r##"<svg xmlns="http://www.w3.org/2000/svg" width="7" height="7"><rect width="7" height="7" fill="#f00"/></svg>"##;

/// Serves `html` at `/`, and a dot with status 404 at `/lost`; returns the origin.
pub async fn serve(html: String) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let origin = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let html = html.clone();
            let service = service_fn(move |request: Request<_>| {
                let answer = match request.uri().path() {
                    "/" => Response::builder()
                        .header("content-type", "text/html; charset=utf-8")
                        .body(Full::new(Bytes::from(html.clone()))),
                    "/lost" => Response::builder()
                        .status(404)
                        .header("content-type", "image/svg+xml")
                        .body(Full::new(Bytes::from(DOT))),
                    _ => Response::builder().status(404).body(Full::default()),
                };
                async move { Ok::<_, Infallible>(answer.unwrap()) }
            });
            tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
        }
    });
    origin
}
