"""Whole processes measured: wall seconds, client CPU seconds, peak RSS."""

import os
import shutil
import statistics
import subprocess
import time


def run(command, env, good=(0,)):
    """One process: (wall seconds, CPU seconds, peak RSS in MB)."""
    start = time.perf_counter()
    child = subprocess.Popen(command, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    error = child.stderr.read()
    _, status, usage = os.wait4(child.pid, 0)
    wall = time.perf_counter() - start
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode not in good:
        raise SystemExit(f"{command} ended with {child.returncode}: {error.decode(errors='replace')[-2000:]}")
    return wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


FRESH = "FRESH"


def compare(title, tools, env, runs, clean=(), warm=True, fresh=None):
    """Runs the tools in turn, `runs` times, and prints medians and our ratios.

    `clean` names folders that are removed before each process. With `fresh`, a folder, each process gets
    one of its own in it for the word `FRESH`, and all are removed in the end: ext4 looks again and again at
    inodes that were freed just before, which costs more than what is measured. `limit` is no peer: it is what the
    same bytes cost without signing, parsing or checking.
    """
    print(f"\n{title} (median of {runs})", flush=True)
    print(f"  {'tool':<12}{'wall s':>10}{'CPU s':>10}{'RSS MB':>10}", flush=True)
    figures = {name: [] for name in tools}

    def once(name, command):
        for folder in clean:
            shutil.rmtree(folder, ignore_errors=True)
        if fresh:
            count = len(os.listdir(fresh)) if os.path.isdir(fresh) else 0
            os.makedirs(os.path.join(fresh, str(count)))
            command = [word.replace(FRESH, os.path.join(fresh, str(count))) for word in command]
        return run(command, env)

    for name, command in tools.items() if warm else ():
        once(name, command)
    for _ in range(runs):
        for name, command in tools.items():
            figures[name].append(once(name, command))
    if fresh:
        shutil.rmtree(fresh)
    medians = {name: [statistics.median(column) for column in zip(*rows)] for name, rows in figures.items()}
    for name, (wall, cpu, rss) in medians.items():
        print(f"  {name:<12}{wall:>10.3f}{cpu:>10.3f}{rss:>10.1f}", flush=True)
    ours = medians["windlass"]
    peers = {name: values for name, values in medians.items() if name not in ("windlass", "limit")}
    if peers:
        best = [min(column) for column in zip(*peers.values())]
        ratios = [f"{what} {a / b:.2f}" for what, a, b in zip(("wall", "CPU", "RSS"), ours, best) if b]
        print(f"  windlass / best peer: {', '.join(ratios)}", flush=True)
    for other in ("s5cmd", "limit"):
        if other in medians:
            ratios = [f"{what} {a / b:.2f}" for what, a, b in zip(("wall", "CPU"), ours, medians[other]) if b]
            print(f"  windlass / {other}: {', '.join(ratios)}", flush=True)
