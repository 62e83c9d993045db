"""Whether an S3 bucket answers, with short timeouts and without retries."""

from collections.abc import Mapping
from typing import Any

import botocore.session
from botocore.config import Config
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectionError,  # noqa: A004
    HTTPClientError,
    NoCredentialsError,
)

from champion.core.masking import masked

SECONDS_TO_ANSWER = 10


def why_unusable(
    bucket: str, prefix: str = "", options: Mapping[str, Any] | None = None, *, profile: str | None = None
) -> str | None:
    """Why objects under the prefix cannot be listed, in one sentence with the fix; None when they can be listed.

    `options` are arguments of botocore's `create_client`; all other settings come from the usual AWS environment.
    """
    config = Config(
        connect_timeout=SECONDS_TO_ANSWER, read_timeout=SECONDS_TO_ANSWER, retries={"total_max_attempts": 1}
    )
    endpoint = ""
    try:
        client = botocore.session.Session(profile=profile).create_client("s3", config=config, **(options or {}))
        endpoint = masked(client.meta.endpoint_url)
        client.list_objects_v2(Bucket=bucket, Prefix=prefix, MaxKeys=1)
    except NoCredentialsError:
        return (
            "no AWS credentials were found. Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or log in as "
            "docs/operations.md says."
        )
    except (ConnectionError, HTTPClientError):
        return f"nothing answers at {endpoint}. Start the server, or correct AWS_ENDPOINT_URL or the proxy."
    except ClientError as error:
        return _refusal(error.response.get("Error", {}), bucket, endpoint)
    except (BotoCoreError, ValueError) as error:
        return f"the S3 settings are not usable: {error}."
    return None


def _refusal(error: Mapping[str, str], bucket: str, endpoint: str) -> str:
    match error.get("Code"):
        case "NoSuchBucket" | "404":
            return f"{endpoint} has no bucket named {bucket}. Create it, or correct the remote in .dvc/config."
        case "InvalidAccessKeyId" | "SignatureDoesNotMatch":
            return f"{endpoint} refuses the AWS credentials as wrong. Correct them."
        case "ExpiredToken" | "TokenRefreshRequired":
            return "the AWS credentials have expired. Log in again."
        case "AccessDenied" | "403":
            return f"the AWS credentials may not list the bucket {bucket}. docs/operations.md has the policy they need."
    return f"{endpoint} answered {error.get('Code')}: {error.get('Message')}"
