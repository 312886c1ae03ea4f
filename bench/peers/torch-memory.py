#!/usr/bin/env python3
"""Peak memory of PyTorch on a workload of torch.py, which lies beside this file: torch-memory.py WORKLOAD. Out: a JSON line.

Each setting of torch.py runs 20 steps in a fresh process. growth_mb: the peak of the resident set less its size after the import and one small
operation, the least of all settings. allocated_mb: the most that was allocated at once during a later step over what was there before it, from the
profiler's record of allocations.
"""
import json, os, resource, subprocess, sys

here = os.path.dirname(os.path.abspath(__file__))
sys.path = [p for p in sys.path if os.path.abspath(p) != here]  # torch.py is not torch
name = sys.argv[1]


def settings():
    source = open(os.path.join(here, "torch.py")).read().split("\nHZ = ")[0]
    sys.argv = ["torch.py", name]
    scope = {"__name__": "settings"}
    exec(compile(source, "torch.py", "exec"), scope)
    return list(scope["variants"])


def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def one(number):
    import torch
    variants = settings()
    a = torch.randn(4, 4, requires_grad=True)
    (a @ a).sum().backward()
    base = peak()
    step = variants[number][1]()
    for _ in range(20):
        step()
    growth = peak() - base
    from torch.profiler import ProfilerActivity, profile
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as p:
        step()
    now = most = 0
    events = [e for e in p.profiler.kineto_results.events() if e.name() == "[memory]"]
    for e in sorted(events, key=lambda e: e.start_ns()):
        now += e.nbytes()
        most = max(most, now)
    print(json.dumps({"setting": variants[number][0], "growth_mb": growth, "allocated_mb": most / 2 ** 20}), flush=True)


if len(sys.argv) > 2:
    one(int(sys.argv[2]))
else:
    found = []
    for i in range(len(settings())):
        out = subprocess.run([sys.executable, "-W", "ignore", __file__, name, str(i)], capture_output=True, text=True).stdout
        found += [json.loads(line) for line in out.splitlines() if line.startswith("{")]
    least = lambda field: float(f"{min(f[field] for f in found):.3g}")
    print(json.dumps({"workload": name, "growth_mb": least("growth_mb"), "allocated_mb": least("allocated_mb")}))
