"""Asks the questions of deploy/stores/duckdb about an incident file, and prints the answers.

usage: ask.py FOLDER INCIDENTS.jsonl
"""

import pathlib
import re
import sys

import duckdb

folder, incidents = pathlib.Path(sys.argv[1]), sys.argv[2]
connection = duckdb.connect()
connection.execute("SET VARIABLE files = $files", {"files": incidents})
connection.execute((folder / "schema.sql").read_text())
# Two of the questions are about one crash: the most frequent one.
connection.execute("SET VARIABLE fingerprint = (SELECT mode(fingerprint) FROM incidents WHERE fingerprint IS NOT NULL)")

# Before each question stands a comment that begins with its name and says who asks it.
for question in re.split(r"(?m)^(?=-- \w+: )", (folder / "questions.sql").read_text())[1:]:
    comment = " ".join(re.findall(r"(?m)^-- ?(.*)$", question))
    print(f"\nDuckDB, {comment}\n")
    connection.sql(question).show(max_width=160)
