"""Spark, for inputs too large for one machine: its workers read pages and indices with the same parsers.

The driver lists a source, and splits it into the same read tasks as `build_dataset`. The workers carry them out,
assemble each snapshot, and return its tables as the Parquet files that make up a dataset.

Files are not read with Spark's `binaryFile`, which silently skips empty files and folders whose names begin with `_`,
such as `_cache`, whereas a lost page must be a row in `rejected`. Also, the checksum of an index, and in layout 3 its
location, is in another file. So the sources read the files, as they handle all that: from a disk that all workers see,
from servers and from S3.
"""

from cachestats.spark.read import SparkTables, read_mirrors, read_site
from cachestats.spark.write import write_dataset

__all__ = ["SparkTables", "read_mirrors", "read_site", "write_dataset"]
