"""Files on disk, over http(s) and in S3, looked at, read and listed in one way."""
