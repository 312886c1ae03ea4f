#!/usr/bin/env python3
"""PyTorch on the workloads of bench/workloads.js.

usage: bench.py WORKLOAD [--threads N] [--compile] [--peer NAME] [--quick]

One process per workload.  Every workload offers several settings a careful
user would consider (optimizer implementation, memory format, ...); each is
tried shortly, then the fastest is measured in full and printed as one JSON
line.  The trial medians go to stderr and into the field "trials".
"""
import argparse, json, math, os, statistics, sys, time

sys.path.pop(0)  # or this file would be found as torch

ap = argparse.ArgumentParser()
ap.add_argument("workload")
ap.add_argument("--threads", type=int, default=2)
ap.add_argument("--compile", action="store_true")
ap.add_argument("--peer", default=None)
ap.add_argument("--env-name", default="")
ap.add_argument("--full-s", type=float, default=3.0)
ap.add_argument("--trial-s", type=float, default=0.6)
ap.add_argument("--max-trials", type=int, default=0)
ap.add_argument("--prewarm", action="store_true", help="only fill the compiler's cache")
ap.add_argument("--profile", action="store_true")
ap.add_argument("--only", default="", help="regex on the variant name")
args = ap.parse_args()

import torch
import torch.nn as nn
import torch.nn.functional as F

torch.set_flush_denormal(True)  # before the thread pool exists, so workers inherit it
torch.set_num_threads(args.threads)
torch.manual_seed(0)
VER = torch.__version__.split("+")[0]
PEER = args.peer or ("torch-compile-" if args.compile else "torch-") + VER


# ----------------------------------------------------------------- models
class MLP(nn.Sequential):
    def __init__(self, sizes, act):
        ls = []
        for i in range(len(sizes) - 1):
            ls.append(nn.Linear(sizes[i], sizes[i + 1]))
            if i < len(sizes) - 2:
                ls.append(act())
        super().__init__(*ls)


class CNN(nn.Module):
    def __init__(self):
        super().__init__()
        self.c1 = nn.Conv2d(1, 32, 3)
        self.c2 = nn.Conv2d(32, 64, 3)
        self.l1 = nn.Linear(9216, 128)
        self.l2 = nn.Linear(128, 10)

    def forward(self, x):
        x = F.relu(self.c1(x), inplace=True)
        x = F.relu(self.c2(x), inplace=True)
        x = F.max_pool2d(x, 2)
        x = torch.flatten(x, 1)
        return self.l2(F.relu(self.l1(x)))


class Block(nn.Module):
    def __init__(self, cin, c, stride, option):
        super().__init__()
        self.conv1 = nn.Conv2d(cin, c, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(c)
        self.conv2 = nn.Conv2d(c, c, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(c)
        self.pad = 0
        self.down = None
        if stride != 1 or cin != c:
            if option == "A":
                self.pad = c - cin
            else:
                self.down = nn.Sequential(nn.Conv2d(cin, c, 1, stride, bias=False), nn.BatchNorm2d(c))

    def forward(self, x):
        y = F.relu(self.bn1(self.conv1(x)), inplace=True)
        y = self.bn2(self.conv2(y))
        if self.down is not None:
            x = self.down(x)
        elif self.pad:
            x = F.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, self.pad // 2, self.pad - self.pad // 2))
        return F.relu(y + x, inplace=True)


class ResNet20(nn.Module):
    def __init__(self, option="A"):
        super().__init__()
        self.conv = nn.Conv2d(3, 16, 3, 1, 1, bias=False)
        self.bn = nn.BatchNorm2d(16)
        ls, cin = [], 16
        for c, s in ((16, 1), (32, 2), (64, 2)):
            for i in range(3):
                ls.append(Block(cin, c, s if i == 0 else 1, option))
                cin = c
        self.body = nn.Sequential(*ls)
        self.fc = nn.Linear(64, 10)

    def forward(self, x):
        x = F.relu(self.bn(self.conv(x)), inplace=True)
        x = self.body(x)
        x = F.adaptive_avg_pool2d(x, 1).flatten(1)
        return self.fc(x)


class ResNet18(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 64, 7, 2, 3, bias=False)
        self.bn = nn.BatchNorm2d(64)
        ls, cin = [], 64
        for c, s in ((64, 1), (128, 2), (256, 2), (512, 2)):
            for i in range(2):
                ls.append(Block(cin, c, s if i == 0 else 1, "B"))
                cin = c
        self.body = nn.Sequential(*ls)
        self.fc = nn.Linear(512, 1000)

    def forward(self, x):
        x = F.relu(self.bn(self.conv(x)), inplace=True)
        x = F.max_pool2d(x, 3, 2, 1)
        x = self.body(x)
        return self.fc(F.adaptive_avg_pool2d(x, 1).flatten(1))


class CharLSTM(nn.Module):
    def __init__(self):
        super().__init__()
        self.emb = nn.Embedding(65, 64)
        self.lstm = nn.LSTM(64, 256, 2)
        self.head = nn.Linear(256, 65)

    def forward(self, x):  # [T, B]
        y, _ = self.lstm(self.emb(x))
        return self.head(y)


class GPTBlock(nn.Module):
    def __init__(self, c, h):
        super().__init__()
        self.h = h
        self.ln1 = nn.LayerNorm(c, bias=False)
        self.attn = nn.Linear(c, 3 * c, bias=False)
        self.proj = nn.Linear(c, c, bias=False)
        self.ln2 = nn.LayerNorm(c, bias=False)
        self.fc = nn.Linear(c, 4 * c, bias=False)
        self.fc2 = nn.Linear(4 * c, c, bias=False)

    def forward(self, x):
        B, T, C = x.shape
        q, k, v = self.attn(self.ln1(x)).split(C, dim=2)
        q, k, v = (t.view(B, T, self.h, C // self.h).transpose(1, 2) for t in (q, k, v))
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.proj(y.transpose(1, 2).reshape(B, T, C))
        return x + self.fc2(F.gelu(self.fc(self.ln2(x))))


class GPT(nn.Module):
    """nanoGPT: learned positions, tied head, no biases, exact GELU, no dropout."""

    def __init__(self, vocab, layers, heads, width, block):
        super().__init__()
        self.wte = nn.Embedding(vocab, width)
        self.wpe = nn.Embedding(block, width)
        self.blocks = nn.ModuleList(GPTBlock(width, heads) for _ in range(layers))
        self.lnf = nn.LayerNorm(width, bias=False)
        self.head = nn.Linear(width, vocab, bias=False)
        for p in self.parameters():
            if p.dim() == 2:
                nn.init.normal_(p, 0.0, 0.02)
        self.head.weight = self.wte.weight
        self.register_buffer("pos", torch.arange(block), persistent=False)

    def forward(self, x):
        h = self.wte(x) + self.wpe(self.pos)
        for b in self.blocks:
            h = b(h)
        return self.head(self.lnf(h))


# ------------------------------------------------------------- variants
def optimizers(kind):
    """name -> factory; all settings of one optimizer a user may choose from"""
    out = {}
    for impl in ("fused", "foreach", "loop"):
        kw = {"fused": True} if impl == "fused" else {"foreach": impl == "foreach"}
        if kind == "sgd":
            out[impl] = lambda ps, kw=kw: torch.optim.SGD(ps, lr=0.01, momentum=0.9, **kw)
        elif kind == "adam":
            out[impl] = lambda ps, kw=kw: torch.optim.Adam(ps, lr=1e-3, **kw)
        else:
            out[impl] = lambda ps, kw=kw: torch.optim.AdamW(ps, lr=1e-3, betas=(0.9, 0.99), weight_decay=0.1, **kw)
    return out


COMPILE_MODES = {
    "default": dict(),
    "cppwrap": dict(options={"cpp_wrapper": True}),
    "autotune": dict(options={"max_autotune": True}),
}


def train_variants(build, data, kind, formats=("nchw",), seq=False):
    """yields (name, make) with make() -> step()"""
    def lossf(model, x, y):
        o = model(x)
        if o.dim() == 3:
            return F.cross_entropy(o.view(-1, o.shape[-1]), y.view(-1))
        return F.cross_entropy(o, y)

    for fmt in formats:
        opts = optimizers(kind)
        modes = COMPILE_MODES if args.compile else {"eager": None}
        for mode, copt in modes.items():
            for oname, mk in opts.items():
                if args.compile and oname == "loop":
                    continue

                def make(fmt=fmt, mk=mk, mode=mode, copt=copt, wholeopt=False):
                    torch.manual_seed(0)
                    model = build()
                    x, y = data()
                    if fmt == "nhwc":
                        model = model.to(memory_format=torch.channels_last)
                        x = x.to(memory_format=torch.channels_last)
                    opt = mk(list(model.parameters()))
                    f = lambda x, y: lossf(model, x, y)
                    if copt is not None:
                        torch._dynamo.reset()
                        f = torch.compile(f, dynamic=False, **copt)
                    ostep = opt.step
                    if wholeopt:
                        ostep = torch.compile(opt.step, **copt)
                    st = {"n": 0, "first": None, "last": None}

                    def step():
                        opt.zero_grad(set_to_none=True)
                        l = f(x, y)
                        l.backward()
                        ostep()
                        if st["n"] % 10 == 0:
                            v = l.item()
                            if not math.isfinite(v):
                                raise RuntimeError("loss is not finite")
                            if st["first"] is None:
                                st["first"] = v
                            st["last"] = v
                        st["n"] += 1
                    step.state = st
                    return step
                yield f"{mode}/{oname}/{fmt}", make
            if args.compile:
                # the optimizer step compiled too (lr as a tensor is not needed: constant lr)
                mk = optimizers(kind)["foreach"]
                yield f"{mode}/compiled-opt/{fmt}", (lambda make=make, mk=mk, fmt=fmt, mode=mode, copt=copt:
                                                     make(fmt=fmt, mk=mk, mode=mode, copt=copt, wholeopt=True))


def infer_variants(build, shape, formats=("nchw",)):
    def prep(fmt):
        torch.manual_seed(0)
        m = build().eval()
        for b in m.modules():
            if isinstance(b, nn.BatchNorm2d):
                b.running_mean.normal_(0, 0.1)
                b.running_var.uniform_(0.5, 1.5)
        for p in m.parameters():
            p.requires_grad_(False)
        x = torch.randn(shape)
        if fmt == "nhwc":
            m = m.to(memory_format=torch.channels_last)
            x = x.to(memory_format=torch.channels_last)
        return m, x

    def wrap(f, x):
        def step():
            with torch.inference_mode():
                f(x)
        return step

    for fmt in formats:
        if not args.compile:
            def eager(fmt=fmt):
                m, x = prep(fmt)
                return wrap(m, x)
            yield f"eager/{fmt}", eager

            def jit(fmt=fmt):
                m, x = prep(fmt)
                with torch.no_grad():
                    s = torch.jit.freeze(torch.jit.trace(m, x))
                return wrap(s, x)
            yield f"jit-freeze/{fmt}", jit

            def jit2(fmt=fmt):
                m, x = prep(fmt)
                with torch.no_grad():
                    s = torch.jit.optimize_for_inference(torch.jit.freeze(torch.jit.trace(m, x)))
                return wrap(s, x)
            yield f"jit-optimize/{fmt}", jit2

            def fold(fmt=fmt):
                m, x = prep(fmt)
                import torch.fx.experimental.optimization as o
                m = o.fuse(m)
                if fmt == "nhwc":
                    m = m.to(memory_format=torch.channels_last)
                return wrap(m, x)
            yield f"fx-fold/{fmt}", fold
        else:
            for mode, opt in {
                "freeze": {"freezing": True}, "freeze+cppwrap": {"freezing": True, "cpp_wrapper": True},
                "freeze+autotune": {"freezing": True, "max_autotune": True},
                "freeze+autotune+cppwrap": {"freezing": True, "max_autotune": True, "cpp_wrapper": True},
            }.items():
                def comp(fmt=fmt, opt=opt):
                    m, x = prep(fmt)
                    torch._dynamo.reset()
                    import torch._inductor.config as ic
                    ic.freezing = True
                    with torch.no_grad():
                        f = torch.compile(m, dynamic=False, options={k: v for k, v in opt.items() if k != "freezing"})
                    def step():
                        with torch.no_grad():
                            f(x)
                    return step
                yield f"{mode}/{fmt}", comp


def gemm_variants(m, k, n):
    a, b, c = torch.randn(m, k), torch.randn(k, n), torch.empty(m, n)
    yield "mm-out", lambda: (lambda: torch.mm(a, b, out=c))
    yield "mm", lambda: (lambda: torch.mm(a, b))


def ew_variants():
    n = 1 << 24
    x = torch.randn(n); y = torch.empty(n)
    a, b = 1.5, 0.25
    bt = torch.tensor(b)
    if args.compile:
        def f(x, y):
            y.copy_(torch.relu(a * x + b))
        for nm, o in {"default": {}, "cppwrap": {"cpp_wrapper": True}}.items():
            def mk(o=o):
                g = torch.compile(f, dynamic=False, options=o)
                def s():
                    with torch.no_grad():
                        g(x, y)
                return s
            yield nm, mk
        return
    yield "mul-add-relu", lambda: (lambda: torch.relu_(torch.mul(x, a, out=y).add_(b)))
    yield "add-alpha-relu", lambda: (lambda: torch.add(bt, x, alpha=a, out=y).relu_())
    yield "add-alpha-clamp", lambda: (lambda: torch.add(bt, x, alpha=a, out=y).clamp_min_(0))
    def plain():
        def s():
            return torch.relu(a * x + b)
        return s
    yield "plain-alloc", plain


def cls(shape, n):
    def d():
        torch.manual_seed(1)
        return torch.randn(shape), torch.randint(0, n, (shape[0],))
    return d


def tok(shape, n):
    def d():
        torch.manual_seed(1)
        return torch.randint(0, n, shape), torch.randint(0, n, shape)
    return d


W = args.workload
flops = bytes_ = None
if W.startswith("gemm-"):
    if W == "gemm-skinny":
        mkn = (64, 784, 256)
    else:
        mkn = (int(W[5:]),) * 3
    flops = 2 * mkn[0] * mkn[1] * mkn[2]
    variants = gemm_variants(*mkn)
elif W == "tiny":
    variants = train_variants(lambda: MLP([4, 32, 32, 3], nn.Tanh), cls((32, 4), 3), "sgd")
elif W == "mlp":
    variants = train_variants(lambda: MLP([784, 512, 256, 10], nn.ReLU), cls((128, 784), 10), "adam")
elif W == "cnn":
    variants = train_variants(CNN, cls((64, 1, 28, 28), 10), "adam", ("nchw", "nhwc"))
elif W in ("resnet20", "resnet20B"):
    variants = train_variants(lambda: ResNet20("B" if W[-1] == "B" else "A"), cls((32, 3, 32, 32), 10), "sgd", ("nchw", "nhwc"))
elif W == "lstm":
    variants = train_variants(CharLSTM, tok((64, 32), 65), "adam")
elif W == "gpt":
    variants = train_variants(lambda: GPT(65, 4, 4, 128, 64), tok((12, 64), 65), "adamw")
elif W == "gpt-m":
    variants = train_variants(lambda: GPT(65, 6, 6, 384, 256), tok((4, 256), 65), "adamw")
elif W == "infer-mlp-1":
    variants = infer_variants(lambda: MLP([784, 512, 256, 10], nn.ReLU), (1, 784))
elif W == "infer-cnn-1":
    variants = infer_variants(CNN, (1, 1, 28, 28), ("nchw", "nhwc"))
elif W == "infer-resnet18-1":
    variants = infer_variants(ResNet18, (1, 3, 224, 224), ("nchw", "nhwc"))
elif W == "ew":
    bytes_ = 2 * 4 * (1 << 24)
    variants = ew_variants()
else:
    sys.exit("unknown workload " + W)


HZ = os.sysconf("SC_CLK_TCK")
unquiet = []


def busy():
    v = list(map(int, open("/proc/stat").readline().split()[1:]))
    return (v[0] + v[1] + v[2] + v[5] + v[6] + v[7]) / HZ


def measure(step, seconds, min_steps=30, warm=5):
    """Measures again (once) when other processes used more than 5% of one CPU meanwhile; the better median counts."""
    best = None
    for _ in range(2):
        end = time.time() + 1
        while time.time() < end:
            a = busy(); time.sleep(0.3)
            if busy() - a < 0.035:
                break
        a, c, t = busy(), time.process_time(), time.perf_counter()
        ts = measure1(step, seconds, min_steps, warm)
        wall = time.perf_counter() - t
        foreign = (busy() - a) - (time.process_time() - c)
        if foreign < max(0.05, 0.05 * wall):
            return ts
        if best is None or statistics.median(ts) < statistics.median(best):
            best = ts
        if wall > 20:
            break
        print(f"  (again: others used {foreign:.2f} s of {wall:.2f} s)", file=sys.stderr)
    unquiet.append(1)
    return best


def measure1(step, seconds, min_steps, warm):
    t = time.perf_counter()
    for _ in range(warm):
        step()
    while time.perf_counter() - t < min(0.5, seconds / 4):
        step()
    ts = []
    clock = time.perf_counter
    end = clock() + seconds
    while len(ts) < min_steps or clock() < end:
        a = clock()
        step()
        b = clock()
        ts.append((b - a) * 1e3)
    return ts


import re
best, trials = None, {}
for name, make in variants:
    if args.only and not re.search(args.only, name):
        continue
    try:
        s = make()
        if args.prewarm:
            t0 = time.time(); s(); s(); print(f"  {W} {name}: ready after {time.time() - t0:.1f} s", file=sys.stderr)
            continue
        m = statistics.median(measure(s, args.trial_s, 8, 5))
    except Exception as e:
        trials[name] = "failed: " + type(e).__name__
        print(f"  {W} {name}: failed {type(e).__name__}: {str(e)[:300]}", file=sys.stderr)
        continue
    trials[name] = round(m, 5)
    print(f"  {W} {name}: {m:.4f} ms", file=sys.stderr)
    if best is None or m < best[1]:
        best = (name, m, make)
    del s
if args.prewarm:
    sys.exit(0)
if best is None:
    print(json.dumps({"peer": PEER, "workload": W, "threads": args.threads, "error": "no variant ran", "trials": trials}))
    sys.exit(1)
name, _, make = best
step = make()
if args.profile:
    for _ in range(10): step()
    from torch.profiler import profile, ProfilerActivity
    with profile(activities=[ProfilerActivity.CPU]) as p:
        for _ in range(5): step()
    print(p.key_averages().table(sort_by="self_cpu_time_total", row_limit=25), file=sys.stderr)
ts = measure(step, args.full_s)
med, mn = statistics.median(ts), min(ts)
note = name
if flops:
    note += f"; {flops / med / 1e6:.1f} GFLOP/s median, {flops / mn / 1e6:.1f} best"
if bytes_:
    note += f"; {bytes_ / med / 1e6:.2f} GB/s median, {bytes_ / mn / 1e6:.2f} best"
if W.startswith("infer"):
    note += f"; {med * 1e3:.1f} us median"
if hasattr(step, "state"):
    note += f"; loss {step.state['first']:.4f} -> {step.state['last']:.6f}"
if unquiet:
    note += "; NOT QUIET"
if args.env_name:
    note += "; env: " + args.env_name
r = {"peer": PEER, "workload": W, "threads": args.threads, "median_ms": round(med, 6), "min_ms": round(mn, 6),
     "steps": len(ts), "note": note, "trials": trials}
print(json.dumps(r), flush=True)
