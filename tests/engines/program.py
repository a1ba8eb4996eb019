"""Runs the runlake binary and reads its answers as Arrow tables."""

import collections
import pathlib
import subprocess
import sys
import tempfile
from collections.abc import Callable

import pyarrow as pa
import pyarrow.parquet as pq


class Store:
    """A store, asked through the command line."""

    def __init__(self, binary: str, folder: pathlib.Path):
        self.binary = str(pathlib.Path(binary).resolve())
        self.folder = folder

    def run(self, *args: object) -> None:
        command = [self.binary, "--store", str(self.folder), *map(str, args)]
        done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        if done.returncode != 0:
            sys.exit(f"{' '.join(command)}\n{done.stderr.decode()}")

    def sql(self, sql: str) -> pa.Table:
        """Parquet keeps every bit of a double, which text in tables would not have to."""
        with tempfile.TemporaryDirectory() as folder:
            out = pathlib.Path(folder) / "answer.parquet"
            self.run("sql", "-c", sql, "--format", "parquet", "--out", out)
            return pq.ParquetFile(out).read()


    def grouped(self, sql: str, cell: Callable[[object], object]) -> dict[object, list[tuple]]:
        """Rows by their first column."""
        found = collections.defaultdict(list)
        table = self.sql(sql)
        for row in zip(*(table[name].to_pylist() for name in table.column_names)):
            found[row[0]].append(tuple(cell(v) for v in row[1:]))
        return found

    def bring(self, tool: str, place: object) -> None:
        """Makes the store and imports into it; nothing may be missing then, live and sealed."""
        self.run("init", self.folder)
        for command in [["import", tool, place], ["import", "--audit", place], ["seal"], ["import", "--audit", place]]:
            self.run(*command)


def cell(value: object) -> object:
    """A value that equals itself, NaN too, and tells 0.0 from -0.0."""
    if isinstance(value, float):
        return "NaN" if value != value else repr(value)
    if isinstance(value, list):
        return tuple(cell(v) for v in value)
    return value


def rows(table: pa.Table, columns: list[str]) -> list[tuple]:
    """The rows as tuples; times are taken as microseconds whatever their unit and zone."""
    values = []
    for name in columns:
        column = table[name]
        if pa.types.is_timestamp(column.type):
            column = column.cast(pa.timestamp("us", column.type.tz)).cast(pa.int64())
        if pa.types.is_dictionary(column.type):
            column = column.cast(column.type.value_type)
        values.append([cell(v) for v in column.to_pylist()])
    return list(zip(*values))
