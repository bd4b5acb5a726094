# The whole project with the libraries of requirements.lock, for whoever has neither Python 3.11 nor make:
#   make container                                                     # docker build --tag structgrad .
#   docker run --rm structgrad                                         # make reproduce, from what the image holds
#   docker run --rm --volume "$PWD/out:/structgrad/results/smoke" structgrad
#   docker run --rm structgrad make audit SCALE=paper
FROM python:3.11-slim-bookworm

# The mirrors keep one version of each; neither has a part in any number.
# hadolint ignore=DL3008
RUN apt-get update \
 && apt-get install --yes --no-install-recommends git make \
 && rm -rf /var/lib/apt/lists/*

WORKDIR /structgrad
# What the set-up depends on comes first, so that another edit does not install everything again.
COPY requirements.lock pyproject.toml Makefile README.md LICENSE ./
COPY src/structgrad/__init__.py src/structgrad/
RUN make setup
COPY . .

CMD ["make", "reproduce"]
