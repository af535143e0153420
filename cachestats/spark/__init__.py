"""Spark, for whoever outgrows one machine: its workers read pages and indices, with the parsers that run locally.

The driver lists a source, and cuts it into the batches in which `build_dataset` reads it, too. The workers read and
parse them, put each snapshot together, and hand its tables on as the Parquet files that a dataset is made of.

Files are not read with Spark's `binaryFile`: it passes over folders whose names begin with `_`, as `_cache` does, and
over empty files, without a word, where a page that is lost has to be a row in `rejected`. And of an index the checksum
and, in layout 3, the place stand in another file. So the sources read, which know all that: from a disk that all
workers see, from servers and from S3.
"""

from cachestats.spark.read import SparkTables, read_mirrors, read_site
from cachestats.spark.write import write_dataset

__all__ = ["SparkTables", "read_mirrors", "read_site", "write_dataset"]
