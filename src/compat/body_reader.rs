//! Reads the bodies of picture calls, which are short and few at once.

use std::time::Duration;

use bytes::Bytes;
use http::StatusCode;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::Body;
use tokio::{sync::Semaphore, time};

use crate::http::{BoxError, problem::Problem};

/// The bounds of reading bodies.
#[derive(Debug)]
pub(crate) struct BodyReader {
    timeout: Duration,
    /// Bodies that are read at once.
    reading: Semaphore,
}

/// The longest body. Picture calls have some hundred bytes.
const MAX_BODY: usize = 16 * 1024;
/// Bodies that are read at once.
const MAX_READING: usize = 256;

// === impl BodyReader ===

impl BodyReader {
    pub(crate) fn new(timeout: Duration) -> Self {
        Self {
            timeout,
            reading: Semaphore::new(MAX_READING),
        }
    }

    /// Reads the body of a request whose credential was right.
    pub(super) async fn read<B>(&self, body: B) -> Result<Bytes, Problem>
    where
        B: Body<Data = Bytes>,
        B::Error: Into<BoxError>,
    {
        if body.size_hint().lower() > MAX_BODY as u64 {
            return Err(too_large());
        }
        let reading = async {
            // It is never closed.
            let _reading = self.reading.acquire().await;
            Limited::new(body, MAX_BODY).collect().await
        };
        match time::timeout(self.timeout, reading).await {
            Ok(Ok(body)) => Ok(body.to_bytes()),
            Ok(Err(error)) if error.is::<LengthLimitError>() => Err(too_large()),
            Ok(Err(_)) => Err(cut_off()),
            Err(_) => Err(too_slow()),
        }
    }
}

/// The problems that the body of a call may have.
pub(super) fn problems() -> [Problem; 3] {
    [cut_off(), too_slow(), too_large()]
}

fn cut_off() -> Problem {
    Problem::new(
        StatusCode::BAD_REQUEST,
        "body-ended",
        "The body ended too early",
        "send as many bytes as Content-Length says",
    )
}

fn too_slow() -> Problem {
    Problem::new(
        StatusCode::REQUEST_TIMEOUT,
        "slow-body",
        "The body did not come in time",
        "send it at once; server.body_timeout is the limit",
    )
}

fn too_large() -> Problem {
    Problem::new(
        StatusCode::PAYLOAD_TOO_LARGE,
        "too-large",
        "The body is too long",
        format!("a picture call may have {MAX_BODY} bytes"),
    )
}

#[cfg(test)]
mod tests {
    use std::{
        convert::Infallible,
        pin::Pin,
        sync::Arc,
        task::{Context, Poll},
    };

    use http_body_util::Full;
    use hyper::body::Frame;

    use super::*;

    /// A body that never ends.
    struct Endless;

    impl Body for Endless {
        type Data = Bytes;
        type Error = Infallible;

        fn poll_frame(
            self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
            Poll::Pending
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_257th_body_waits_until_one_of_256_has_ended() {
        let reader = Arc::new(BodyReader::new(Duration::from_secs(3600)));
        let begin = || {
            let reader = reader.clone();
            tokio::spawn(async move { reader.read(Endless).await.is_ok() })
        };
        let reading: Vec<_> = (0..256).map(|_| begin()).collect();
        // The clock moves once every task waits.
        time::sleep(Duration::from_secs(1)).await;
        assert_eq!(reader.reading.available_permits(), 0);
        let last = || reader.read(Full::new(Bytes::from_static(b"{}")));
        let second = Duration::from_secs(1);
        assert!(time::timeout(second, last()).await.is_err());
        reading[0].abort();
        let read = time::timeout(second, last()).await.unwrap();
        assert!(read.is_ok_and(|body| body == "{}"));
        assert_eq!(reader.reading.available_permits(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_also_waits_for_its_turn_no_longer_than_the_time_limit() {
        let reader = BodyReader::new(Duration::from_secs(2));
        let _all = reader.reading.acquire_many(256).await.unwrap();
        let before = time::Instant::now();
        let refused = reader.read(Full::new(Bytes::new())).await;
        assert!(refused.is_err());
        assert!(before.elapsed() >= Duration::from_secs(2));
    }
}
