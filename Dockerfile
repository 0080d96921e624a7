# One static binary in an empty image: no shell, no libraries, no packages to patch. The CA roots are in the binary
# (webpki-roots), and so are all licenses (`faceplate licenses`). Works with any builder, and cross-builds by platform:
#   docker build --platform linux/arm64 -t faceplate .
ARG RUST=rust:1-bookworm
FROM ${RUST} AS build
WORKDIR /src
ARG PROFILE=release
ENV RUSTFLAGS="-C target-feature=+crt-static"

# The dependencies have a layer of their own, which is reused until they change. Their timestamps are set, because some
# builders truncate fractions of seconds, after which cargo would rebuild everything.
COPY Cargo.toml Cargo.lock ./
COPY benches/tools/Cargo.toml benches/tools/
# The manifests name programs that are not part of the image. Empty files stand in for them.
RUN mkdir src && touch src/lib.rs && echo 'fn main() {}' > src/main.rs \
 && touch $(sed -n '/^\[\[bench\]\]/{n;s|name = "\(.*\)"|benches/\1.rs|p}' Cargo.toml) \
    $(sed -n 's|^path = "\(.*\.rs\)"|benches/tools/\1|p' benches/tools/Cargo.toml) \
 && cargo build --profile "${PROFILE}" --locked --bin faceplate --target "$(uname -m)-unknown-linux-gnu" \
 && find target "${CARGO_HOME}/registry" -exec touch -h -d @0 {} +

COPY src ./src
# Reproducible build: the only date in the image is this one, the date of the last change. The compilers do not see it,
# or the dependencies written in C would be compiled again.
ARG SOURCE_DATE_EPOCH=0
RUN touch src/main.rs src/lib.rs \
 && env -u SOURCE_DATE_EPOCH cargo build --profile "${PROFILE}" --locked --bin faceplate --target "$(uname -m)-unknown-linux-gnu" \
 && install -D -m 0755 target/*/"${PROFILE}"/faceplate /root-of-image/faceplate \
 && install -d -m 0700 -o 65532 -g 65532 /root-of-image/cache \
 && find /root-of-image -exec touch -h -d "@${SOURCE_DATE_EPOCH}" {} +

FROM scratch
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="Faceplate" \
      org.opencontainers.image.description="A self-hosted, avatar-caching reverse proxy in front of WhatsApp-gateway picture APIs" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.licenses="MIT OR Apache-2.0"
COPY --from=build --chown=65532:65532 /root-of-image/ /
USER 65532:65532
# MALLOC_TRIM_THRESHOLD_ makes glibc return freed memory; by default it keeps up to twice the largest buffer per thread.
ENV FACEPLATE_CACHE__DIR=/cache \
    FACEPLATE_LOG__FORMAT=json \
    TMPDIR=/cache \
    MALLOC_TRIM_THRESHOLD_=131072
VOLUME /cache
EXPOSE 8080
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=30s --retries=3 \
    CMD ["/faceplate", "healthcheck"]
ENTRYPOINT ["/faceplate"]
CMD ["serve"]
