"""Answers statements with DuckDB: a line of JSON in, a line of JSON out, with the seconds that the statement took.

Times count the statement and its rows as Arrow, which is what runlake hands out too; the pipe is not in them.
"""

import json
import sys
import time

import duckdb


def main() -> None:
    connection = duckdb.connect(config={"threads": 2})
    for line in sys.stdin:
        request = json.loads(line)
        begun = time.perf_counter()
        answer = {}
        result = connection.sql(request["sql"])
        if request.get("rows"):
            answer = {"rows": [[str(value) for value in row] for row in result.fetchall()]}
        elif result is not None:
            result.to_arrow_table()
        answer["seconds"] = time.perf_counter() - begun
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
