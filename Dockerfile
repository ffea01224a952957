# One image for API and worker: `longshore api`, `longshore worker`, `longshore db upgrade`.

FROM python:3.11-slim-bookworm AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
RUN python -m venv /opt/longshore
ENV PATH=/opt/longshore/bin:$PATH
WORKDIR /build
# First what changes seldom, so that a change of the code installs nothing anew.
COPY requirements/run.txt requirements/
RUN pip install --require-hashes --only-binary :all: -r requirements/run.txt
COPY pyproject.toml README.md LICENSE broker_config.py ./
COPY api api
COPY worker worker
COPY shared shared
COPY longshore longshore
COPY launcher launcher
RUN pip install --no-deps --no-build-isolation .

FROM python:3.11-slim-bookworm
RUN useradd --system --uid 10001 --create-home --home-dir /data longshore
COPY --from=build /opt/longshore /opt/longshore
# Modules named in LONGSHORE_JOBS are found here too; mount your own over it, or add to it.
COPY examples /srv/examples
ENV PATH=/opt/longshore/bin:$PATH \
    PYTHONPATH=/srv \
    PYTHONUNBUFFERED=1 \
    LONGSHORE_DATA_DIR=/data \
    LONGSHORE_HOST=0.0.0.0 \
    LONGSHORE_LOG_FORMAT=json
USER longshore
WORKDIR /data
VOLUME /data
EXPOSE 8080
STOPSIGNAL SIGTERM
CMD ["longshore", "api"]
