"""Asks the questions of deploy/stores about incident lines, and compares the answers with its own.

usage: stores-check.py [--facts FACTS.json] [--time] LINES.jsonl...

Each store gets the lines once, and then once more, as after a lost acknowledgement. With --facts, the lines are those
of the example "fleet", and the answers must name its bad rollout. With --time, prints how long each question takes, and
each store gets the lines once.
"""

import argparse
import gzip
import json
import os
import pathlib
import re
import shutil
import sys
import tempfile
import time
import urllib.parse
from collections import defaultdict
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from operator import attrgetter

import duckdb
from chdb.session import Session

DEPLOY = pathlib.Path(__file__).parents[1] / "deploy"
STORES = DEPLOY / "stores"
MEMBERS = json.loads((DEPLOY / "incident.schema.json").read_text())["properties"].keys()
ROWS_MAX = 20
RUNS = 5
SECONDS_MAX = 1.0

failures = []


def must(holds, what):
    if not holds:
        failures.append(what)


@dataclass(slots=True)
class Line:
    """What the questions need of a line."""

    id: str
    type: str
    message: str
    fingerprint: str
    cluster: str
    namespace: str
    workload: str
    pod_uid: str
    node_name: str
    container: str
    image: str
    occurred_at: datetime
    revision: str
    is_looping: bool
    restarts: int | None
    limit_bytes: int | None
    peak_bytes: int | None


def read(path):
    with open(path) as file:
        for text in file:
            line = json.loads(text)
            top = ("id", "type", "message", "fingerprint", "cluster", "namespace", "workload", "pod_uid", "node_name")
            words = [line.get(name) or "" for name in (*top, "container", "image")]
            own = next((c for c in line["containers"] if c["name"] == line["container"]), None)
            samples = line["telemetry"].get("container", {})
            limit, peak = samples.get("memory_limit_bytes"), samples.get("memory_peak_bytes")
            if limit is None and own:
                limit = own["resources"]["memory_limit_bytes"]
            if peak is None:
                peak = max((b for b in samples.get("memory_bytes", []) if b is not None), default=None)
            restarts = line["metadata"]["restarts"] or {}
            yield Line(
                *words,
                datetime.fromisoformat(line["occurred_at"]),
                line["metadata"].get("revision", ""),
                restarts.get("crash_loop", False),
                restarts.get("total"),
                limit,
                peak,
            )


def grouped(lines, names):
    groups = defaultdict(list)
    key = attrgetter(*names)
    for line in lines:
        groups[key(line)].append(line)
    return groups.items()


def count(lines, *names):
    return len(set(map(attrgetter(*names), lines)))


def first(lines):
    return min(lines, key=attrgetter("occurred_at"))


def last(lines):
    return max(lines, key=attrgetter("occurred_at", "id"))


def highest(lines, name):
    return max((v for v in map(attrgetter(name), lines) if v is not None), default=None)


@dataclass
class Answer:
    """All rows of the right answer, and the column that decides which of them come first."""

    rows: list
    column: int
    is_falling: bool

    def judge(self, where, rows):
        must(len(rows) == min(len(self.rows), ROWS_MAX), f"{where}: {len(rows)} rows, of {len(self.rows)}")
        must(len(set(rows)) == len(rows), f"{where}: a row comes twice")
        for row in set(rows) - set(self.rows):
            must(False, f"{where}: a wrong row: {row}")
        right = sorted((row[self.column] for row in self.rows), reverse=self.is_falling)[:ROWS_MAX]
        must([row[self.column] for row in rows] == right, f"{where}: not the first rows, or not in order")


def answers(lines, now, fingerprint):
    """Returns the right answer to each question."""
    kind = ("fingerprint", "namespace", "workload", "container", "type")
    hour = [line for line in lines if line.occurred_at > now - timedelta(hours=1)]
    most = [
        (*key, count(group, "id"), count(group, "pod_uid"), count(group, "cluster", "node_name"),
         first(group).occurred_at, last(group).occurred_at, last(group).message)
        for key, group in grouped(hour, kind)
    ]
    own = [line for line in lines if line.fingerprint == fingerprint]
    image = [
        (*key, first(group).occurred_at, last(group).occurred_at, count(group, "id"), count(group, "pod_uid"))
        for key, group in grouped(own, ("image", "revision"))
    ]
    day = now - timedelta(days=1)
    nodes = [
        (*key, count(group, "id"), count(group, "pod_uid"), last(group).occurred_at)
        for key, group in grouped((l for l in own if l.occurred_at > day), ("cluster", "node_name"))
    ]
    loops = [
        (*key, count(group, "id"), count(group, "pod_uid"), highest(group, "restarts"))
        for key, group in grouped((l for l in hour if l.is_looping), ("cluster", "namespace", "workload", "container"))
    ]
    first_seen = [
        (*key, first(group).occurred_at, first(group).image)
        for key, group in grouped(lines, kind)
        if first(group).occurred_at > day
    ]
    week = now - timedelta(days=7)
    out_of_memory = (l for l in lines if l.type == "oom" and l.occurred_at > week)
    memory = [
        (*key, count(group, "id"), count(group, "pod_uid"), highest(group, "peak_bytes"))
        for key, group in grouped(out_of_memory, ("image", "limit_bytes"))
    ]
    return {
        "most": Answer(most, 5, True),
        "image": Answer(image, 2, False),
        "nodes": Answer(nodes, 2, True),
        "loops": Answer(loops, 5, True),
        "first_seen": Answer(first_seen, 5, True),
        "memory": Answer(memory, 2, True),
    }


def statements(path):
    """Returns the statements of a file of SQL, without its comments."""
    text = re.sub(r"(?m)^ *--.*\n", "", path.read_text())
    return [statement for statement in re.split(r";\n", text) if statement.strip()]


def questions(path):
    """Returns the SQL of each question by its name. Before each one stands a comment that begins with the name."""
    names = re.findall(r"(?m)^-- (\w+): ", path.read_text())
    return dict(zip(names, statements(path), strict=True))


class ClickHouse:
    name = "ClickHouse"
    folder = STORES / "clickhouse"

    def __init__(self, scratch):
        self.session = Session(str(scratch / "clickhouse"))
        for statement in statements(self.folder / "schema.sql"):
            self.session.query(statement)
        # Lines get in with the statement and the settings of the webhook's address.
        address = re.search(r"https://\S+/\?(\S+)", (self.folder / "README.md").read_text()).group(1)
        settings = dict(urllib.parse.parse_qsl(address, strict_parsing=True))
        del settings["user"], settings["password"]
        self.insert, self.format = settings.pop("query").split(" FORMAT ")
        self.settings = ", ".join(f"{name} = '{value}'" for name, value in settings.items())

    def columns(self):
        return {row[0] for row in self.rows("DESCRIBE blackbox.incidents") if row[2] != "MATERIALIZED"}

    def load(self, paths):
        for path in paths:
            self.session.query(f"{self.insert} FROM INFILE '{path}' SETTINGS {self.settings} FORMAT {self.format}")

    def load_again(self, paths):
        """Loads the lines a second time, the first of them one by one, as the webhook sends them."""
        with open(paths[0]) as file:
            for line, _ in zip(file, range(50)):
                self.session.query(f"{self.insert} SETTINGS {self.settings} FORMAT {self.format} {line}")
        self.load(paths)

    def compact(self, ids):
        """Merges all rows, which drops the repeats."""
        self.session.query("OPTIMIZE TABLE blackbox.incidents FINAL")
        rows = self.rows("SELECT count() FROM blackbox.incidents")[0][0]
        must(rows == ids, f"{self.name}: {rows} rows after a merge, of {ids} ids")

    def size(self):
        return self.rows("SELECT sum(bytes_on_disk) FROM system.parts WHERE active AND database = 'blackbox'")[0][0]

    def ask(self, sql, now, fingerprint):
        self.session.query(f"SET param_fingerprint = '{fingerprint}'")
        return self.rows(sql.replace("now()", f"toDateTime64('{now:%Y-%m-%d %H:%M:%S}', 6, 'UTC')"))

    def rows(self, sql):
        answer = json.loads(self.session.query(sql, "JSONCompact").bytes())
        readers = [self.reader(column["type"]) for column in answer["meta"]]
        return [tuple(v if v is None else read(v) for read, v in zip(readers, row)) for row in answer["data"]]

    @staticmethod
    def reader(kind):
        if "DateTime" in kind:
            return lambda text: datetime.fromisoformat(text).replace(tzinfo=timezone.utc)
        return int if "Int" in kind else str


class DuckDB:
    name = "DuckDB"
    folder = STORES / "duckdb"

    def __init__(self, scratch):
        self.scratch = scratch
        self.connection = duckdb.connect()

    def load(self, paths):
        self.connection.execute("SET VARIABLE files = $files", {"files": list(map(str, paths))})
        for statement in statements(self.folder / "schema.sql"):
            self.connection.execute(statement)

    def columns(self):
        return {row[0] for row in self.connection.execute("DESCRIBE lines").fetchall()}

    def load_again(self, paths):
        """Adds the lines a second time, from packed files that end with half a line."""
        packed = []
        for path in paths:
            packed.append(self.scratch / f"{path.name}.gz")
            with open(path, "rb") as file, gzip.open(packed[-1], "wb", compresslevel=1) as copy:
                shutil.copyfileobj(file, copy)
                copy.write(b'{"schema":"blackbox.incident/v1","id":"0')
        self.load([*paths, *packed])

    def compact(self, ids):
        """Converts the files to Parquet."""
        os.chdir(self.scratch)
        for statement in statements(self.folder / "parquet.sql"):
            self.connection.execute(statement)
        rows = self.connection.execute("SELECT count(*) FROM incidents").fetchone()[0]
        must(rows == ids, f"{self.name}: {rows} rows in Parquet, of {ids} ids")

    def size(self):
        return (self.scratch / "incidents.parquet").stat().st_size

    def ask(self, sql, now, fingerprint):
        self.connection.execute("SET VARIABLE fingerprint = $fingerprint", {"fingerprint": fingerprint})
        answer = self.connection.execute(sql.replace("now()", f"TIMESTAMPTZ '{now.isoformat()}'"))
        is_text = [str(column[1]) == "VARCHAR" for column in answer.description]
        return [tuple("" if v is None and t else v for v, t in zip(row, is_text)) for row in answer.fetchall()]


def check(store, stage, right, now, fingerprint):
    asked = questions(store.folder / "questions.sql")
    must(asked.keys() == right.keys(), f"{store.name}: the questions are {list(asked)}")
    found = {name: store.ask(sql, now, fingerprint) for name, sql in asked.items()}
    for name, rows in found.items():
        right[name].judge(f"{store.name}, {stage}, {name}", rows)
    print(f"  {store.name}, {stage}: {', '.join(f'{name} {len(rows)}' for name, rows in found.items())} rows")
    return found


def check_rollout(where, found, facts):
    """Checks the answers against what the fleet's generator says, which is not computed from the lines."""
    rollout = facts["rollout"]
    began_at = datetime.fromisoformat(rollout["began_at"])
    crash, image, fresh = found["most"][0], found["image"][0], found["first_seen"][0]
    must((crash[0], crash[2]) == (rollout["fingerprint"], rollout["workload"]), f"{where}: most is {crash}")
    must((image[0], image[2]) == (rollout["image"], began_at), f"{where}: the image is {image}")
    must(sum(row[4] for row in found["image"]) == rollout["incidents"], f"{where}: the images are {found['image']}")
    must((fresh[0], fresh[5], fresh[6]) == (rollout["fingerprint"], began_at, rollout["image"]), f"{where}: {fresh}")


def time_questions(store, now, fingerprint):
    for name, sql in questions(store.folder / "questions.sql").items():
        seconds = []
        for _ in range(RUNS):
            begin = time.perf_counter()
            store.ask(sql, now, fingerprint)
            seconds.append(time.perf_counter() - begin)
        print(f"  {store.name:<10}  {name:<10}  best {min(seconds):.3f} s, worst {max(seconds):.3f} s")
        must(min(seconds) < SECONDS_MAX, f"{store.name}: {name} takes longer than {SECONDS_MAX} s")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--facts", type=pathlib.Path)
    parser.add_argument("--time", action="store_true")
    parser.add_argument("lines", nargs="+", type=pathlib.Path)
    arguments = parser.parse_args()
    paths = [path.resolve() for path in arguments.lines]
    lines = [line for path in paths for line in read(path)]
    ids = count(lines, "id")
    facts = json.loads(arguments.facts.read_text()) if arguments.facts else None
    if facts:
        must((len(lines), ids) == (facts["lines"], facts["ids"]), f"{len(lines)} lines with {ids} ids")
        now, fingerprint = datetime.fromisoformat(facts["until"]), facts["rollout"]["fingerprint"]
    else:
        # The minute after the newest line of the first file, and the fingerprint that most lines have.
        now = last(list(read(paths[0]))).occurred_at.replace(second=0, microsecond=0) + timedelta(minutes=1)
        fingerprint = max(grouped(lines, ["fingerprint"]), key=lambda group: len(group[1]))[0]
    right = answers(lines, now, fingerprint)
    print(f"  {len(lines)} lines with {ids} ids, until {now}")
    with tempfile.TemporaryDirectory() as scratch:
        for kind in (ClickHouse, DuckDB):
            store = kind(pathlib.Path(scratch))
            begin = time.perf_counter()
            store.load(paths)
            must(store.columns() == MEMBERS, f"{store.name}: lacks or adds {store.columns() ^ MEMBERS}")
            if arguments.time:
                store.compact(ids)
                seconds = time.perf_counter() - begin
                print(f"  {store.name}: loaded in {seconds:.0f} s, {store.size() / 1e6:.0f} MB")
                found = check(store, "loaded", right, now, fingerprint)
                time_questions(store, now, fingerprint)
            else:
                check(store, "once", right, now, fingerprint)
                store.load_again(paths)
                check(store, "twice", right, now, fingerprint)
                store.compact(ids)
                found = check(store, "compacted", right, now, fingerprint)
            if facts:
                check_rollout(store.name, found, facts)
    for failure in failures[:ROWS_MAX]:
        print(f"FAILED {failure}")
    sys.exit(bool(failures))


main()
