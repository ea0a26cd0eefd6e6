# The server in a container: one static program, no shell, not root.
#
#   docker build -t baton .
#   docker run -d --name baton -p 8080:8080 -v baton-data:/data baton
#   docker exec baton baton runner token
#
# Options are variables, as in -e BATON_MAX_ARTIFACT_SIZE=2G; -v takes a directory of user 10001, too.

FROM rust:1-alpine AS build
RUN apk add --no-cache gcc musl-dev
WORKDIR /src
COPY . .
RUN cargo build --release --locked --bin baton && mkdir /empty

FROM scratch
COPY --from=build /src/target/release/baton /usr/local/bin/baton
COPY --from=build --chown=10001:10001 /empty /data
ENV PATH=/usr/local/bin BATON_DATA=/data BATON_LISTEN=0.0.0.0:8080
USER 10001:10001
# SQLite's large sorts, which want a directory for temporary files, find this one.
WORKDIR /data
VOLUME /data
EXPOSE 8080
HEALTHCHECK --interval=30s --timeout=6s --start-period=10s CMD ["baton", "ping"]
ENTRYPOINT ["baton"]
CMD ["serve"]
