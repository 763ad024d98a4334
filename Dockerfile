# The quick start:
#
#   docker build -t lossmith .
#   docker run --rm -v "$PWD/runs:/lossmith/runs" lossmith
#
# Anything else: docker run --rm lossmith check --formulas "(label - pred)**2"
FROM python:3.11-slim

# Torch without CUDA makes the image much smaller; for GPUs: --build-arg TORCH_INDEX=https://pypi.org/simple
ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu

WORKDIR /lossmith
COPY requirements.txt .
RUN pip install --no-cache-dir --extra-index-url "$TORCH_INDEX" -r requirements.txt
COPY . .

# Results belong to the first user of most machines instead of to root.
RUN useradd --create-home --uid 1000 lossmith && mkdir -p runs && chown lossmith . runs
USER lossmith

ENTRYPOINT ["python", "train.py"]
CMD ["search", "--config", "configs/search/quickstart.yaml"]
