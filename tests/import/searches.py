"""Reads docs/coming-from.md: its runs, and the searches of a tool with their SQL forms."""

import datetime
import json
import pathlib
import re

PAGE = pathlib.Path(__file__).resolve().parents[2] / "docs" / "coming-from.md"


def lines() -> list[dict]:
    """The lines for `runlake log` that make the runs of the page."""
    text = PAGE.read_text().split("```json\n")[1].split("```")[0]
    return [json.loads(line) for line in text.splitlines()]


def millis(time: str) -> int:
    return int(datetime.datetime.fromisoformat(time.replace("Z", "+00:00")).timestamp() * 1000)


def code(cell: str) -> str | None:
    """What stands in a cell, if that is code and nothing else."""
    found = re.fullmatch(r"(`+)\s?(.*?)\s?\1", cell.strip())
    return found[2] if found and (found[1] == "``" or "`" not in found[2]) else None


def forms(section: str) -> list[tuple[str, str | None, str]]:
    """The rows of a section's table: the cell of the tool as it is, the SQL, and what is found."""
    text = PAGE.read_text().split(f"\n## {section}\n")[1].split("\n## ")[0]
    rows = []
    for line in text.splitlines():
        if line.startswith("| ") and not line.startswith("| ---"):
            # `\\|` is no border.
            theirs, sql, found = (cell.strip().replace("\0", "|") for cell in line.strip()[1:-1].replace("\\|", "\0").split("|"))
            rows.append((theirs, code(sql), found))
    return rows[1:]


def statement(sql: str, column: str = "run_id") -> str:
    """A whole query out of a condition or the end of one."""
    if sql.startswith("SELECT "):
        return sql
    if sql.startswith("ORDER BY "):
        return f"SELECT {column} FROM runs {sql}"
    return f"SELECT {column} FROM runs WHERE {sql} ORDER BY {column}"
