"""A local S3 server, and its bucket, read without DVC and without our own stores."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import botocore.session

from champion.repository.local_s3 import LocalServer

REGION = "us-east-1"


@contextmanager
def running_server(folder: Path, bucket: str, port: int = 0) -> Iterator[LocalServer]:
    """A server that is killed at its end, because an orderly stop waits many seconds for its connections."""
    with LocalServer(folder, bucket, port) as server:
        try:
            yield server
        finally:
            if server.process is not None:
                server.process.kill()


class Bucket:
    """Its objects, by key."""

    def __init__(self, server: LocalServer) -> None:
        given = server.environment
        self._name = server.bucket
        self._client = botocore.session.get_session().create_client(
            "s3",
            region_name=REGION,
            endpoint_url=given["AWS_ENDPOINT_URL"],
            aws_access_key_id=given["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=given["AWS_SECRET_ACCESS_KEY"],
        )

    def keys(self) -> set[str]:
        pages = self._client.get_paginator("list_objects_v2").paginate(Bucket=self._name)
        return {item["Key"] for page in pages for item in page.get("Contents", [])}

    def read(self, key: str) -> bytes:
        content: bytes = self._client.get_object(Bucket=self._name, Key=key)["Body"].read()
        return content

    def write(self, key: str, content: bytes) -> None:
        self._client.put_object(Bucket=self._name, Key=key, Body=content)

    def write_in_parts(self, key: str, content: bytes) -> None:
        place: dict[str, Any] = {"Bucket": self._name, "Key": key}
        upload = place | {"UploadId": self._client.create_multipart_upload(**place)["UploadId"]}
        tag = self._client.upload_part(**upload, PartNumber=1, Body=content)["ETag"]
        self._client.complete_multipart_upload(**upload, MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": tag}]})

    def delete(self, key: str) -> None:
        self._client.delete_object(Bucket=self._name, Key=key)


def key_of(digest: str) -> str:
    """The key under which DVC stores the object with an MD5."""
    return f"store/files/md5/{digest[:2]}/{digest[2:]}"
