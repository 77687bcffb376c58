"""Queries over files in S3, beside DuckDB's own program with its `httpfs`."""

import contextlib
import glob
import json
import os
import socket
import statistics
import subprocess
import threading
import time
import urllib.request

from measure import compare, run
from servers import KEY, SECRET, free_port, served

TABLES = ["region", "nation", "supplier", "part", "partsupp", "customer", "orders", "lineitem"]

# Names of places, so that grouping has some hundred groups.
TEXT = """
SELECT i AS id, TIMESTAMP '2024-01-01' + INTERVAL (i * 3) SECOND AS at, 'customer-' || (i * 7919 % 100000) AS customer,
  'city-' || (i * 31 % 500) AS city, i * 17 % 1000 + 0.25 AS amount, i % 9 AS quantity, 'a note of order ' || i AS note
FROM range({rows}) t(i)
"""


class Queries:
    """The parts `tpch`, `text` and `first` of a bench."""

    def __init__(self, bench):
        self.bench = bench
        self.peers = bench.options.peers
        self.duckdb = os.path.join(self.peers, "duckdb")

    def extension(self, name):
        pattern = os.path.join(self.peers, "..", "lib", "*", "site-packages", "duckdb_ext", "extensions", "*", "*", f"{name}.duckdb_extension")
        return glob.glob(pattern)[0]

    def prelude(self, endpoint=None):
        host = (endpoint or self.bench.endpoint).removeprefix("http://")
        return (f"LOAD '{self.extension('httpfs')}'; CREATE SECRET s (TYPE s3, KEY_ID '{KEY}', SECRET '{SECRET}', "
                f"REGION 'us-east-1', ENDPOINT '{host}', USE_SSL false, URL_STYLE 'path');\n")

    def script(self, name, text):
        at = os.path.join(self.bench.folder, name)
        with open(at, "w") as file:
            file.write(text)
        return at

    def theirs(self, name, text, endpoint=None):
        at = self.script(f"{name}.duckdb.sql", self.prelude(endpoint) + text)
        return [self.duckdb, "-unsigned", "-csv", "-f", at]

    def ours(self, name, text):
        return [self.bench.windlass, "-o", "csv", "sql", "-f", self.script(f"{name}.windlass.sql", text)]

    def local(self, text):
        """DuckDB over local files, to make data."""
        run([self.duckdb, "-unsigned", "-c", text], self.bench.env)

    def tpch(self):
        folder = os.path.join(self.bench.folder, "tpch")
        run([os.path.join(self.peers, "tpchgen-cli"), "parquet", "-s", str(self.bench.options.scale), "--output-dir", folder], self.bench.env)
        run([self.bench.windlass, "cp", f"{folder}/", "b:bench/tpch/"], self.bench.env)
        listed = subprocess.run([self.duckdb, "-unsigned", "-json", "-c",
                                 f"LOAD '{self.extension('tpch')}'; SELECT query FROM tpch_queries() ORDER BY query_nr"],
                                env=self.bench.env, capture_output=True, check=True)
        queries = [row["query"].rstrip().rstrip(";") for row in json.loads(listed.stdout)]
        place = lambda table: "b.\"bench/tpch/%s.parquet\"" % table
        run(self.ours("views", "".join(f"CREATE OR REPLACE VIEW {table} AS SELECT * FROM {place(table)};\n" for table in TABLES)), self.bench.env)
        views = "".join(f"CREATE VIEW {table} AS SELECT * FROM read_parquet('s3://bench/tpch/{table}.parquet');\n" for table in TABLES)
        whole = ";\n".join(queries) + ";\n"
        compare(f"TPC-H scale {self.bench.options.scale:g}, 22 queries one after another in a new process", {
            "windlass": self.ours("tpch", whole), "duckdb": self.theirs("tpch", views + whole)},
            self.bench.env, self.bench.options.runs)
        self.warm(queries, views)

    def warm(self, queries, views):
        """Each query three times in one process; the sum of their medians."""
        theirs, ours = [], []
        stamps = self.stamps(self.theirs("warm", views + self.thrice(queries)), len(queries) * 3)
        with served(self.bench.windlass, self.bench.env) as (url, _):
            for at, query in enumerate(queries):
                theirs.append(statistics.median(stamps[at * 3:at * 3 + 3]))
                ours.append(statistics.median(asked(url, query) for _ in range(3)))
        print("\nTPC-H warm, seconds of each query (median of 3 in one process)", flush=True)
        for number, (a, b) in enumerate(zip(ours, theirs), 1):
            print(f"  q{number:<3} windlass {a:.3f}  duckdb {b:.3f}  {a / b:.2f}", flush=True)
        print(f"  sum: windlass {sum(ours):.2f}, duckdb {sum(theirs):.2f}, windlass / duckdb {sum(ours) / sum(theirs):.2f}", flush=True)

    def thrice(self, queries):
        return ".timer on\n" + "".join(f"{query};\n" * 3 for query in queries)

    def stamps(self, command, count):
        """Seconds of each statement, as DuckDB's own timer gives them."""
        told = subprocess.run(command, env=self.bench.env, capture_output=True, check=True).stdout.decode()
        seconds = [float(line.split("real")[1].split()[0]) for line in told.splitlines() if line.startswith("Run Time")]
        assert len(seconds) == count, (len(seconds), count)
        return seconds

    def text(self):
        bench, rows = self.bench, self.bench.options.rows
        forms = {"rows.csv": "(HEADER)", "rows.jsonl": "(FORMAT json)", "rows.jsonl.gz": "(FORMAT json, COMPRESSION gzip)"}
        for name, form in forms.items():
            at = os.path.join(bench.folder, name)
            self.local(f"COPY ({TEXT.format(rows=rows)}) TO '{at}' {form}")
            print(f"\n{name}: {os.path.getsize(at) / 1e6:.0f} MB, {rows} rows", flush=True)
            run([bench.windlass, "cp", at, f"b:bench/{name}"], bench.env)
            os.remove(at)
            reader = "read_csv" if name.endswith(".csv") else "read_json"
            there = f"{reader}('s3://bench/{name}')"
            here = f'b."bench/{name}"'
            group = "SELECT city, count(*), sum(amount), max(note) FROM {} GROUP BY city ORDER BY city LIMIT 5;"
            for work, mine, other in [
                ("count", f"SELECT count(*) FROM {here};", f"SELECT count(*) FROM {there};"),
                ("group by", group.format(here), group.format(there)),
                ("to Parquet", f"COPY (SELECT * FROM {here}) TO 'b:bench/out-w.parquet' OPTIONS (MODE = OVERWRITE);",
                 f"COPY (SELECT * FROM {there}) TO 's3://bench/out-d.parquet';"),
            ]:
                compare(f"{name}: {work}", {"windlass": self.ours("text", mine), "duckdb": self.theirs("text", other)}, bench.env, bench.options.runs)

    def first(self):
        """The first 100 rows of a CSV of 5 GB, and what was read for them."""
        bench = self.bench
        at = os.path.join(bench.folder, "big.csv")
        self.local(f"COPY ({TEXT.format(rows=8_000_000)}) TO '{at}' (HEADER)")
        times = int(5e9 / os.path.getsize(at)) + 1
        tail = f"tail -n +2 {at}"
        whole = subprocess.Popen(["bash", "-c", f"cat {at}; for i in $(seq {times - 1}); do {tail}; done"], stdout=subprocess.PIPE)
        subprocess.run([bench.windlass, "cp", "-", "b:bench/big.csv"], stdin=whole.stdout, env=bench.env, check=True, stderr=subprocess.DEVNULL)
        os.remove(at)
        near = bench.endpoint
        with counter(near.removeprefix("http://")) as (address, told):
            bench.connect(f"http://{address}", "counted")
            mine = self.ours("first", 'SELECT * FROM counted."bench/big.csv" LIMIT 100;')
            other = self.theirs("first", "SELECT * FROM read_csv('s3://bench/big.csv') LIMIT 100;", f"http://{address}")
            for name, command in (("windlass", mine), ("duckdb", other)):
                told[0] = 0
                run(command, bench.env)
                print(f"\nfirst 100 rows of 5 GB: {name} reads {told[0] / 1e6:.2f} MB", flush=True)
        bench.endpoint = near
        compare("first 100 rows of a CSV of 5 GB", {
            "windlass": self.ours("first", 'SELECT * FROM b."bench/big.csv" LIMIT 100;'),
            "duckdb": self.theirs("first", "SELECT * FROM read_csv('s3://bench/big.csv') LIMIT 100;")}, bench.env, bench.options.runs)


def asked(url, query):
    """Seconds that a query takes over HTTP."""
    body = json.dumps({"sql": query}).encode()
    request = urllib.request.Request(f"{url}/api/v1/sql", body, {"Content-Type": "application/json"})
    begun = time.perf_counter()
    urllib.request.urlopen(request, timeout=120).read()
    return time.perf_counter() - begun


@contextlib.contextmanager
def counter(upstream):
    """A proxy that counts the bytes of answers that a client took."""
    host, port = upstream.split(":")
    told = [0]
    listener = socket.create_server(("127.0.0.1", free_port()))

    def pump(source, sink, count):
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                sink.sendall(data)
                if count:
                    told[0] += len(data)
        for end in (source, sink):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def accept():
        with contextlib.suppress(OSError):
            while True:
                client, _ = listener.accept()
                server = socket.create_connection((host, int(port)))
                threading.Thread(target=pump, args=(client, server, False), daemon=True).start()
                threading.Thread(target=pump, args=(server, client, True), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    try:
        yield "127.0.0.1:%d" % listener.getsockname()[1], told
    finally:
        listener.close()
