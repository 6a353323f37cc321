"""Self-hosted speech to text and text to speech behind the OpenAI audio API."""

import os
from importlib.metadata import version

# From 1.29 on onnxruntime reports its use to its maker unless told not to before its import; a self-hosted service does
# not call home.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

# Threads of an engine that spin while they wait make it many times slower where another process needs the processor.
# Read when the engine's library is loaded.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")
# NumPy's own have nothing large to do here, and spin on every core: 14 of 16 were kept busy so beside a GPU.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

__version__ = version("voice-stack")
