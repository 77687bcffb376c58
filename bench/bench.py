"""Whole-process figures of Windlass and its peers, side by side on one SeaweedFS.

Prints a row per tool (median of the runs: wall seconds, client CPU seconds, peak RSS) and the ratio of
Windlass to the best peer. The machine is shared: trust ratios of one run, not single times.
"""

import argparse
import json
import os
import socket
import statistics
import subprocess
import tempfile
import time
import urllib.request


def free_port():
    # SeaweedFS puts its gRPC port at port + 10000.
    while True:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        if port < 50000:
            return port


def run(command, env, quiet=True):
    """One process: (wall seconds, CPU seconds, peak RSS in MB)."""
    out = subprocess.DEVNULL if quiet else None
    start = time.perf_counter()
    child = subprocess.Popen(command, env=env, stdout=out, stderr=subprocess.PIPE)
    error = child.stderr.read()
    _, status, usage = os.wait4(child.pid, 0)
    wall = time.perf_counter() - start
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode != 0:
        raise SystemExit(f"{command} ended with {child.returncode}: {error.decode()[-2000:]}")
    return wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


def compare(title, tools, env, runs):
    print(f"\n{title} (median of {runs})")
    print(f"  {'tool':<12}{'wall s':>10}{'CPU s':>10}{'RSS MB':>10}")
    figures = {name: [] for name in tools}
    for name, command in tools.items():  # one warm-up each, then in turn
        run(command, env)
    for _ in range(runs):
        for name, command in tools.items():
            figures[name].append(run(command, env))
    medians = {name: [statistics.median(column) for column in zip(*rows)] for name, rows in figures.items()}
    for name, (wall, cpu, rss) in medians.items():
        print(f"  {name:<12}{wall:>10.3f}{cpu:>10.3f}{rss:>10.1f}")
    peers = [values for name, values in medians.items() if name != "windlass"]
    if peers:
        ours = medians["windlass"]
        best = [min(column) for column in zip(*peers)]
        ratios = [f"{what} {a / b:.2f}" for what, a, b in zip(("wall", "CPU", "RSS"), ours, best) if b]
        print(f"  windlass / best peer: {', '.join(ratios)}")


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--windlass", required=True)
    arguments.add_argument("--peers", required=True)
    arguments.add_argument("--weed", required=True)
    arguments.add_argument("--keys", type=int, default=100_000)
    arguments.add_argument("--runs", type=int, default=3)
    options = arguments.parse_args()
    windlass = os.path.abspath(options.windlass)

    with tempfile.TemporaryDirectory(prefix="windlass-bench-") as folder:
        env = {
            "PATH": os.environ["PATH"],
            "HOME": folder,
            "WINDLASS_HOME": os.path.join(folder, "home"),
            "AWS_ACCESS_KEY_ID": "bench",
            "AWS_SECRET_ACCESS_KEY": "bench-secret",
            "AWS_REGION": "us-east-1",
        }
        run([windlass, "sql", "-c", "SHOW CONNECTIONS"], env)  # makes the home
        compare("start-up: windlass --version", {"windlass": [windlass, "--version"]}, env, 20)
        compare("start-up: windlass sql -c 'SHOW CONNECTIONS'",
                {"windlass": [windlass, "sql", "-c", "SHOW CONNECTIONS"]}, env, 20)
        idle_server(windlass, env)
        listing(options, windlass, env, folder)


def idle_server(windlass, env):
    server = subprocess.Popen([windlass, "-o", "json", "serve", "--listen", "127.0.0.1:0"], env=env, stdout=subprocess.PIPE)
    try:
        url = json.loads(server.stdout.readline())["listening"]
        urllib.request.urlopen(f"{url}/api/v1/health", timeout=10).read()
        time.sleep(1)
        with open(f"/proc/{server.pid}/status") as status:
            rss = next(int(line.split()[1]) / 1024 for line in status if line.startswith("VmRSS"))
        print(f"\nserve, idle: {rss:.1f} MB")
    finally:
        server.terminate()
        server.wait()


def seaweed(options, folder, env, s5cmd_at):
    """Starts SeaweedFS until a bucket can be made; ports are free when asked for, not when used."""
    config = os.path.join(folder, "s3.json")
    with open(config, "w") as file:
        json.dump({"identities": [{"name": "bench", "credentials": [{"accessKey": "bench", "secretKey": "bench-secret"}],
                                   "actions": ["Admin", "Read", "Write", "List", "Tagging"]}]}, file)
    for attempt in range(3):
        data = os.path.join(folder, f"data{attempt}")
        os.mkdir(data)
        names = ["master", "volume", "filer", "s3"]
        ports = [free_port() for _ in range(8)]
        flags = [f"-{name}.port={ports[at]}" for at, name in enumerate(names)]
        flags += [f"-{name}.port.grpc={ports[at + 4]}" for at, name in enumerate(names)]
        weed = subprocess.Popen(
            [os.path.abspath(options.weed), "server", "-s3", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", f"-dir={data}", f"-s3.config={config}",
             f"-filer.localSocket={folder}/filer{attempt}.sock", *flags, "-volume.max=50", "-master.telemetry=false",
             "-s3.port.iceberg=0", "-s3.port.lance=0"],
            cwd=folder, env={**env, "HOME": folder}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        endpoint = f"http://127.0.0.1:{ports[3]}"
        begun = time.monotonic()
        while weed.poll() is None and time.monotonic() - begun < 90:
            try:
                made = subprocess.run([*s5cmd_at(endpoint), "--retry-count", "0", "mb", "s3://bench"], env=env,
                                      capture_output=True, timeout=15)
            except subprocess.TimeoutExpired:
                continue
            if made.returncode == 0 or b"BucketAlready" in made.stderr:
                return weed, endpoint
            time.sleep(1)
        weed.kill()
        weed.wait()
    raise SystemExit("SeaweedFS did not start")


def listing(options, windlass, env, folder):
    import glob
    # The program itself: the package's entry point is a Python script, whose start would count.
    program = (glob.glob(os.path.join(options.peers, "..", "lib", "*", "site-packages", "s5cmd", "bin", "s5cmd"))
               or [os.path.join(options.peers, "s5cmd")])[0]
    s5cmd_at = lambda endpoint: [program, "--endpoint-url", endpoint]
    weed, endpoint = seaweed(options, folder, env, s5cmd_at)
    s5cmd = s5cmd_at(endpoint)
    try:
        tree = os.path.join(folder, "tree")
        for number in range(options.keys):
            place = os.path.join(tree, f"{number % 200:03}")
            if number < 200:
                os.makedirs(place)
            with open(os.path.join(place, f"{number:07}.txt"), "w") as file:
                file.write("x")
        print(f"\nuploading {options.keys} keys …")
        run([*s5cmd, "--numworkers", "64", "cp", f"{tree}/", "s3://bench/"], env)
        with open(os.path.join(folder, "rclone.conf"), "w") as file:
            file.write(f"[b]\ntype = s3\nprovider = Other\nendpoint = {endpoint}\naccess_key_id = bench\n"
                       "secret_access_key = bench-secret\nforce_path_style = true\n")
        statement = (f"CREATE OR REPLACE S3 CONNECTION b ENDPOINT = '{endpoint}' ALLOW_HTTP = TRUE "
                     "AWS_ACCESS_KEY_ID = 'bench' AWS_SECRET_ACCESS_KEY = 'bench-secret'")
        run([windlass, "sql", "-c", statement], env)
        compare(f"listing {options.keys} keys in 200 folders, recursive", {
            "windlass": [windlass, "-o", "jsonl", "ls", "-r", "b:bench/"],
            "s5cmd": [*s5cmd, "ls", "s3://bench/*"],
            "rclone": [os.path.join(options.peers, "rclone"), "--config", os.path.join(folder, "rclone.conf"),
                       "lsf", "-R", "--fast-list", "--files-only", "--format", "ps", "b:bench"],
        }, env, options.runs)
    finally:
        weed.terminate()
        weed.wait()


if __name__ == "__main__":
    main()
