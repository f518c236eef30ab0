# The service and nothing else: PostgreSQL and Redis run elsewhere, and no secret is in any layer.
#   docker build -t cypher .
#   docker build -t cypher-backup --target backup .      the same, with what `cypher backup` runs
# It writes nowhere but into KEY_STORE_PATH (not even there with KEY_STORE=postgres), so its file system may be
# read-only. Settings come from the environment, secrets from the files that NAME_FILE names.
FROM python:3.11-slim-trixie AS build

WORKDIR /source
COPY requirements-opaque.txt constraints.txt ./
# The same versions as everywhere; what passwords go through by its hash.
RUN python -m venv --without-pip /opt/cypher \
    && pip --python /opt/cypher/bin/python install --no-cache-dir --require-hashes --no-deps -r requirements-opaque.txt
COPY setup.cfg pyproject.toml README.md ./
COPY cypher cypher
COPY sql sql
COPY migrations migrations
RUN pip wheel --no-cache-dir --no-deps --wheel-dir /wheels . \
    && pip --python /opt/cypher/bin/python install --no-cache-dir -c constraints.txt /wheels/*.whl

FROM python:3.11-slim-trixie AS service

RUN groupadd --gid 10001 cypher \
    && useradd --no-log-init --uid 10001 --gid cypher --no-create-home --home-dir /var/lib/cypher --shell /usr/sbin/nologin cypher \
    && install -d -o cypher -g cypher -m 0700 /var/lib/cypher /var/lib/cypher/keys
COPY --from=build /opt/cypher /opt/cypher

ENV PATH=/opt/cypher/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    HOST=0.0.0.0 \
    KEY_STORE_PATH=/var/lib/cypher/keys
WORKDIR /var/lib/cypher
USER 10001:10001
EXPOSE 8080

HEALTHCHECK --interval=30s --timeout=5s --start-period=20s CMD ["python", "-c", "import os, urllib.request as web; web.urlopen('http://127.0.0.1:' + os.environ.get('PORT', '8080') + '/health/live', timeout=4)"]
ENTRYPOINT ["cypher"]
CMD ["serve"]

FROM service AS backup
# Of the version of the server.
ARG POSTGRES=17
USER 0:0
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install -y --no-install-recommends "postgresql-client-$POSTGRES" \
    && rm -rf /var/lib/apt/lists/* \
    && install -d -o cypher -g cypher -m 0700 /backups /keys-backups
USER 10001:10001

# The last one is what is built where no other is named.
FROM service
