# Images of the service and, for compose.yaml, of nginx and of the AWS stand-in. `deploy/container/pin-base-image` renews the
# digest in the next line (this one is Python 3.13.12); the pipeline refuses to build without one.
ARG BASE_IMAGE=docker.io/library/python:3.13-slim-bookworm@sha256:a58daefb915e1e03ad48f3ca4df8832065412c5c35cacb9d39f4229184de12b6


# The libraries, at the very versions and hashes of the lock file.
FROM ${BASE_IMAGE} AS libraries
COPY requirements.txt /build/
RUN python -m venv /opt/panzoto \
    && /opt/panzoto/bin/python -m pip install --no-cache-dir --disable-pip-version-check \
        --only-binary :all: --require-hashes -r /build/requirements.txt \
    && rm -r /opt/panzoto/lib/python3.*/site-packages/pip /opt/panzoto/lib/python3.*/site-packages/pip-*


# The console's libraries from npm, by the lock file's hashes; npm comes from PyPI and stays behind.
FROM ${BASE_IMAGE} AS console
WORKDIR /build
COPY requirements-node.txt /build/
COPY panzoto/console/package.json panzoto/console/package-lock.json /build/panzoto/console/
COPY deploy/packages/console.py deploy/packages/running.py /build/deploy/packages/
COPY deploy/serving/processes.py /build/deploy/serving/
RUN python -m deploy.packages.console


# The AWS stand-in: its own libraries, since it pins botocore.
FROM ${BASE_IMAGE} AS stand-in
COPY requirements-aws.txt /build/
RUN python -m venv /opt/stand-in \
    && /opt/stand-in/bin/python -m pip install --no-cache-dir --disable-pip-version-check \
        --require-hashes -r /build/requirements-aws.txt \
    && install -d -o 10001 -g 10001 -m 700 /data /secrets
WORKDIR /app
COPY deploy/container/stand_in_listener.py /app/
COPY deploy/local/stand_in.py deploy/local/stand_in_gate.py deploy/local/stand_in_settings.py /app/deploy/local/
ENV PATH=/opt/stand-in/bin:$PATH PYTHONDONTWRITEBYTECODE=1 HOME=/tmp
USER 10001:10001
CMD ["python", "-X", "utf8", "stand_in_listener.py"]


# nginx in front of the service, as on one machine; it rests on ports that need no root.
FROM ${BASE_IMAGE} AS edge
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install -y --no-install-recommends nginx-light openssl \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /app
COPY deploy/machine/nginx/ /app/
COPY deploy/container/edge /app/
ENV PYTHONDONTWRITEBYTECODE=1
USER 10001:10001
CMD ["/app/edge"]


# The service. Last, so that it is what `docker build .` makes.
FROM ${BASE_IMAGE} AS service
RUN groupadd --gid 10001 panzoto \
    && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin panzoto
COPY --from=libraries /opt/panzoto /opt/panzoto
WORKDIR /app
COPY wsgi.py /app/
COPY panzoto/ /app/panzoto/
COPY --from=console /build/panzoto/console/node_modules /app/panzoto/console/node_modules
COPY migrations_from_rds/ /app/migrations_from_rds/
COPY deploy/serving/connections.py deploy/serving/gunicorn.conf.py deploy/serving/worker.py /app/deploy/serving/
# All of it belongs to root, and nothing writes there: what is written goes to /tmp and /dev/shm.
RUN /opt/panzoto/bin/python -m compileall -q /app
ENV PATH=/opt/panzoto/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    FLASK_ENV=production \
    PANZOTO_DATA_DIR=/tmp/panzoto \
    HOME=/tmp
# Fargate mounts a volume here, which only so gets the rights that /tmp has in the image: everybody may write.
VOLUME ["/tmp"]
USER 10001:10001
EXPOSE 5000
HEALTHCHECK --interval=15s --timeout=5s --start-period=60s --retries=3 \
    CMD ["python", "-c", "import os, urllib.request as r; r.urlopen('http://127.0.0.1:' + os.getenv('PORT', '5000') + '/api/health', timeout=4)"]
STOPSIGNAL SIGTERM
CMD ["gunicorn", "-c", "deploy/serving/gunicorn.conf.py", "wsgi:app"]
