"""A job on a cluster of two workers, one of which is killed while indices are read; `test_spark` runs it as a script.

python tests/support/cluster.py PACKAGE MIRRORS OUT
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
from pathlib import Path
from typing import Any

TASKS = 8  # of what is asked beside the mirrors, which have more indices


def executor(_: int) -> tuple[str, int]:
    """Return the package that a worker has cachestats from, and the process of its executor."""
    import cachestats

    daemon = Path(f"/proc/{os.getppid()}/stat").read_text().rpartition(")")[2].split()  # which workers are forks of
    return Path(cachestats.__file__).parts[-3], int(daemon[1])


def kill(process: int, context: Any, told: dict[str, Any]) -> None:
    """Kill an executor as soon as some of the indices were read, and others are being read."""
    tracker = context.statusTracker()
    while True:
        for stage in map(tracker.getStageInfo, tracker.getActiveStageIds()):
            if stage and stage.numTasks > TASKS and stage.numCompletedTasks > 1 and stage.numActiveTasks:
                os.kill(process, signal.SIGKILL)
                told |= {"tasks": stage.numTasks, "tasks_done_when_killed": stage.numCompletedTasks}
                return
        time.sleep(0.05)


def main(package: str, mirrors: str, out: str) -> None:
    """Read the mirrors, write them as a dataset, and tell what happened as a line of JSON."""
    options = {"driver.host": "127.0.0.1", "ui.enabled": "false", "submit.pyFiles": package}
    options |= {"sql.shuffle.partitions": "4", "default.parallelism": str(TASKS)}
    from pyspark.sql import SparkSession  # only `make test` installs it

    builder = SparkSession.builder.master("local-cluster[2,1,1024]")
    for name, value in options.items():
        builder = builder.config(f"spark.{name}", value)
    spark = builder.getOrCreate()
    context = spark.sparkContext
    context.setLogLevel("OFF")

    from cachestats.spark import read_mirrors, write_dataset

    found = set(context.parallelize(range(TASKS), TASKS).map(executor).collect())
    executors = sorted({process for _, process in found})
    told: dict[str, Any] = {"packages": sorted({name for name, _ in found}), "executors": len(executors)}
    tables = read_mirrors(spark, mirrors)
    threading.Thread(target=kill, args=(executors[0], context, told), daemon=True).start()
    write_dataset(tables, out)
    alive = {process for _, process in context.parallelize(range(TASKS), TASKS).map(executor).collect()}
    print(json.dumps(told | {"is_killed_one_gone": executors[0] not in alive}))
    spark.stop()


if __name__ == "__main__":
    main(*sys.argv[1:])
