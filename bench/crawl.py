"""Crawls, beside what was measured of OpenMetadata's own connector (it is not installed here)."""

import contextlib
import json
import os
import subprocess
import time
import urllib.request

from measure import run
from servers import KEY, SECRET, free_port, helper

# One run of the connector 2.0.7 over as many tables of this kind on moto, two cores: seconds with its start, without, MB.
THEIRS = (25.0, 12.6, 446.0)

TABLE = """
SELECT i AS id, 'customer-' || i AS name, i * 1.25 AS amount, DATE '2026-01-01' + CAST(i % 300 AS INTEGER) AS day
FROM range(1000) t(i)
"""


class Crawls:
    """The part `crawl` of a bench."""

    def __init__(self, bench):
        self.bench = bench
        self.duckdb = os.path.join(bench.options.peers, "duckdb")

    def tree(self, tables):
        """Half of the tables CSV, half Parquet, one file of 1000 rows each."""
        at = os.path.join(self.bench.folder, f"tables{tables}")
        files = {}
        for kind, form in (("csv", "(HEADER)"), ("parquet", "(FORMAT parquet)")):
            one = os.path.join(self.bench.folder, f"one.{kind}")
            run([self.duckdb, "-c", f"COPY ({TABLE}) TO '{one}' {form}"], self.bench.env)
            with open(one, "rb") as file:
                files[kind] = file.read()
        for number in range(tables):
            kind = ("csv", "parquet")[number % 2]
            folder = os.path.join(at, kind, f"table{number:04}")
            os.makedirs(folder)
            with open(os.path.join(folder, f"part-0.{kind}"), "wb") as file:
                file.write(files[kind])
        return at

    def workflow(self, name, endpoint, bucket, tables):
        """A workflow file whose global manifest names each table."""
        entries = [{"containerName": bucket, "dataPath": f"{kind}/table{number:04}", "structureFormat": kind}
                   for number in range(tables) for kind in [("csv", "parquet")[number % 2]]]
        manifest = os.path.join(self.bench.folder, f"{name}.manifest.json")
        with open(manifest, "w") as file:
            json.dump({"entries": entries}, file)
        workflow = {
            "source": {
                "type": "s3", "serviceName": name,
                "serviceConnection": {"config": {"type": "S3", "bucketNames": [bucket], "awsConfig": {
                    "awsAccessKeyId": KEY, "awsSecretAccessKey": SECRET, "awsRegion": "us-east-1", "endPointURL": endpoint}}},
                "sourceConfig": {"config": {"type": "StorageMetadata", "storageMetadataConfigSource": {"manifestFilePath": manifest}}},
            },
        }
        at = os.path.join(self.bench.folder, f"{name}.json")
        with open(at, "w") as file:
            json.dump(workflow, file)
        return at

    def measured(self, title, command, containers=None, good=(0,)):
        wall, cpu, rss = run(command, self.bench.env, good)
        print(f"\n{title}: {wall:.2f} s, CPU {cpu:.2f} s, RSS {rss:.0f} MB", flush=True)
        if containers:
            query = f"SELECT count(*) AS n FROM system.containers WHERE service = '{containers[0]}' AND status = 'active' AND columns IS NOT NULL"
            told = subprocess.run([self.bench.windlass, "-o", "json", "sql", "-c", query], env=self.bench.env, capture_output=True, check=True)
            found = json.loads(told.stdout)[0]["n"]
            assert found == containers[1], (found, containers)
        return wall, rss

    def crawl(self):
        bench = self.bench
        tables = self.tree(200)
        with moto(os.path.join(os.path.dirname(os.path.abspath(bench.options.weed)), "moto_server")) as endpoint:
            bench.connect(endpoint, "moto")
            run([bench.windlass, "mb", "moto:tables"], bench.env)
            run([bench.windlass, "cp", f"{tables}/", "moto:tables/"], bench.env)
            file = self.workflow("om", endpoint, "tables", 200)
            wall, rss = self.measured("crawl of 200 small tables on moto", [bench.windlass, "crawl", "-c", file], ("om", 200))
            print(f"  OpenMetadata's, as measured before: {THEIRS[0]:.0f} s with its start, {THEIRS[1]} s without, {THEIRS[2]:.0f} MB; "
                  f"faster {THEIRS[0] / wall:.0f} x and {THEIRS[1] / wall:.0f} x", flush=True)
            self.measured("the same again, nothing changed", [bench.windlass, "crawl", "-c", file], ("om", 200))

    def far(self):
        """Behind 30 ms: a thousand tables on SeaweedFS, with a manifest and without."""
        bench = self.bench
        run([bench.windlass, "mb", "b:tables"], bench.env)
        run([bench.windlass, "cp", f"{self.tree(1000)}/", "b:tables/"], bench.env)
        with helper(bench.tools, "delay", bench.endpoint.removeprefix("http://"), 30) as address:
            file = self.workflow("far", f"http://{address}", "tables", 1000)
            self.measured("crawl of 1000 tables, 30 ms added to each request", [bench.windlass, "crawl", "-c", file], ("far", 1000))
            near = bench.endpoint
            bench.connect(f"http://{address}", "distant")
            bench.endpoint = near
            crawl = [bench.windlass, "sql", "-c", "CRAWL distant BUCKETS = ('tables')"]
            self.measured("the same without a manifest", crawl, ("distant", 1000))

    def glob(self):
        """One glob over keys that exist only as a listing: memory must not grow with them, only with tables."""
        bench = self.bench
        for keys, tables in ((100_000, 100), (1_000_000, 100), (5_000_000, 100), (10_000_000, 100), (5_000_000, 5000)):
            with helper(bench.tools, "listing", keys, keys // tables) as address:
                name = f"keys{keys}in{tables}"
                file = self.workflow(name, f"http://{address}", "one", 0)
                with open(os.path.join(bench.folder, f"{name}.manifest.json"), "w") as manifest:
                    json.dump({"entries": [{"containerName": "one", "dataPath": "d/**/*.bin", "unstructuredData": False, "structureFormat": "csv"}]}, manifest)
                # The bodies are not there, which makes the run partial; what is looked at is memory.
                self.measured(f"one glob over {keys} keys in {tables} tables", [bench.windlass, "crawl", "-c", file], good=(0, 1, 3))


@contextlib.contextmanager
def moto(program):
    port = free_port()
    server = subprocess.Popen([program, "-H", "127.0.0.1", "-p", str(port)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    endpoint = f"http://127.0.0.1:{port}"
    try:
        for _ in range(300):
            with contextlib.suppress(OSError):
                urllib.request.urlopen(endpoint, timeout=5).read()
                break
            time.sleep(0.1)
        yield endpoint
    finally:
        server.terminate()
        server.wait()
