"""Uniform access to files on disk, over http(s), in S3 and in OCI registries: fingerprints, contents and listings."""
