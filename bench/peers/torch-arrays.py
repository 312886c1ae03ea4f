#!/usr/bin/env python3
"""PyTorch on the cases of bench/arrays.js: torch-arrays.py SECONDS NAME…; a JSON line each, two threads. Eager calls, as a user writes them."""
import json, re, statistics, sys, time

sys.path.pop(0)  # or torch.py would be found as torch
import torch

torch.set_num_threads(2)
torch.manual_seed(0)


def symmetric(shape):
    a = torch.randn(shape)
    return a @ a.mT + shape[-1] * torch.eye(shape[-1])


def gradient(f, x, g):
    x.requires_grad_(True)

    def run():
        x.grad = None
        (f(x) * g).sum().backward()
    return run


L = torch.linalg
MATRIX = {
    "cholesky": (symmetric, L.cholesky), "solve": (symmetric, lambda a: L.solve(a, a)), "inverse": (symmetric, L.inv), "qr": (torch.randn, L.qr),
    "svd": (torch.randn, lambda a: L.svd(a, full_matrices=False)), "eigh": (symmetric, L.eigh),
}
rint = lambda shape, n: torch.randint(0, n, shape)


def case(name):
    word, *rest = name.split(" ")
    shape = [int(s) for s in rest[0].split("x")] if rest and re.fullmatch(r"[\dx]+", rest[0]) else None
    if word in MATRIX:
        make, f = MATRIX[word]
        a = make(shape)
        return lambda: f(a)
    if word == "fft":
        x = torch.randn(shape, dtype=torch.complex64)
        return lambda: torch.fft.fft(x)
    if word == "rfft":
        x = torch.randn(shape)
        return lambda: torch.fft.rfft(x)
    if name.startswith("scatterAdd rows"):
        x, i = torch.randn(4096, 128), rint((4096, 1), 65).expand(4096, 128)
        return lambda: torch.zeros(65, 128).scatter_add_(0, i, x)
    if name.startswith("scatterAdd 1000000"):
        x, i = torch.randn(10 ** 6), rint((10 ** 6,), 1000)
        return lambda: torch.zeros(1000).scatter_add_(0, i, x)
    if name.startswith(("scatterAdd 1024", "scatter 1024", "gather 1024", "gradient of gather")):
        x, i, z = torch.randn(1024, 1024), rint((1024, 1024), 1024), torch.zeros(1024, 1024)
        if word == "scatterAdd":
            return lambda: torch.zeros(1024, 1024).scatter_add_(1, i, x)
        if word == "scatter":
            return lambda: torch.zeros(1024, 1024).scatter_(1, i, x)
        if word == "gather":
            return lambda: torch.gather(x, 1, i)
        return gradient(lambda a: a.gather(1, i), x, torch.randn(1024, 1024))
    if name.startswith("gradient of indexSelect"):
        i = rint((4096,), 10000)
        return gradient(lambda a: a.index_select(0, i), torch.randn(10000, 128), torch.randn(4096, 128))
    if name.startswith("gradient of embedding"):
        i = rint((2048,), 50000)
        return gradient(lambda a: torch.nn.functional.embedding(i, a), torch.randn(50000, 64), torch.randn(2048, 64))
    if name.startswith("topk 100"):
        x = torch.randn(256, 10000)
        return lambda: torch.topk(x, 100)
    if word == "topk":
        x = torch.randn([int(s) for s in rest[2].split("x")])
        return lambda: torch.topk(x, 10)
    dim = 0 if "first dimension" in name else 1
    x = torch.randn([int(s) for s in rest[0].rstrip(",").split("x")])
    if word == "sort":
        return lambda: torch.sort(x, dim=dim, stable=True)
    if word == "cumsum":
        return lambda: torch.cumsum(x, dim)
    if word == "cumprod":
        x = torch.rand(256, 1024) + 0.5
        return lambda: torch.cumprod(x, 1)
    raise SystemExit(f"unknown case {name}")


clock = time.perf_counter
for name in sys.argv[2:]:
    run, seconds, times = case(name), float(sys.argv[1]), []
    begin = clock()
    while clock() - begin < min(0.2, seconds):
        run()
    begin = clock()
    while len(times) < 5 or clock() - begin < seconds:
        t = clock()
        run()
        times.append((clock() - t) * 1e3)
    print(json.dumps({"id": name, "median_ms": float(f"{statistics.median(times):.4g}")}), flush=True)
