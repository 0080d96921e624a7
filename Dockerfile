# One static binary in an empty image.
FROM rust:1-bookworm AS build
WORKDIR /src
COPY Cargo.toml Cargo.lock ./
COPY src ./src
COPY benches ./benches
ENV RUSTFLAGS="-C target-feature=+crt-static"
RUN cargo build --release --locked --target "$(uname -m)-unknown-linux-gnu" \
 && cp "target/$(uname -m)-unknown-linux-gnu/release/faceplate" /faceplate \
 && install -d -o 65532 -g 65532 -m 0700 /empty/cache /empty/tmp

FROM scratch
COPY --from=build /faceplate /faceplate
COPY --from=build --chown=65532:65532 /empty/ /
USER 65532:65532
VOLUME /cache
ENTRYPOINT ["/faceplate"]
CMD ["serve", "--config", "/etc/faceplate.toml"]
