# The quick start:
#
#   docker build -t lossmith .
#   docker run --rm -v "$PWD/runs:/lossmith/runs" lossmith
#
# Anything else: docker run --rm lossmith check --formulas "(label - pred)**2"
FROM python:3.11-slim

# pip reads it: an index that has torch without CUDA makes the image much smaller (--build-arg PIP_EXTRA_INDEX_URL=...).
ARG PIP_EXTRA_INDEX_URL

WORKDIR /lossmith
COPY requirements.txt .
RUN pip install --no-cache-dir -r requirements.txt
COPY . .

# Results belong to the first user of most machines instead of to root.
RUN useradd --create-home --uid 1000 lossmith && mkdir -p runs && chown lossmith . runs
USER lossmith

ENTRYPOINT ["python", "train.py"]
CMD ["search", "--config", "configs/search/quickstart.yaml"]
