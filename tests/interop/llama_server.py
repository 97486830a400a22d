"""llama.cpp's own server: ``python llama_server.py MODEL PORT``, until it is told to end."""

from __future__ import annotations

import signal
import sys

import xllamacpp

settings = xllamacpp.CommonParams()
settings.model.path = sys.argv[1]
settings.port = int(sys.argv[2])
settings.n_ctx, settings.n_parallel, settings.n_gpu_layers, settings.warmup = 1024, 1, 0, False
settings.cpuparams.n_threads = 1
server = xllamacpp.Server(settings)
signal.pause()
