"""Uniform access to files on disk, over http(s) and in S3: fingerprints, contents and listings."""
