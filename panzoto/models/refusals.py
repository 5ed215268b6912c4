"""What AWS refuses for good, in words for whoever runs the service: whose fault it is, and what helps."""

from __future__ import annotations

from botocore.exceptions import ClientError

# By the codes of DynamoDB, S3 and SQS.
REMEDIES = {
    frozenset(
        {"ExpiredTokenException", "ExpiredToken", "RequestExpired"}
    ): "the AWS credentials have expired, so renew them",
    frozenset(
        {"AccessDeniedException", "AccessDenied", "AWS.SimpleQueueService.AccessDenied"}
    ): "the AWS credentials lack the right to it",
    frozenset(
        {
            "UnrecognizedClientException",
            "InvalidClientTokenId",
            "InvalidAccessKeyId",
            "InvalidSignatureException",
            "SignatureDoesNotMatch",
        }
    ): "the AWS credentials are not valid (any more)",
}


def code_of(error: ClientError) -> str:
    """Return the code that AWS answered with; empty where there was none."""
    return str(error.response.get("Error", {}).get("Code", ""))


def remedy_for(code: str) -> str | None:
    """Return what to do about it, where trying again does not help."""
    return next((remedy for codes, remedy in REMEDIES.items() if code in codes), None)


def refused(operation: str, code: str, by: str = "AWS") -> str:
    """Return a sentence, without its full stop, about a call that was refused with `code`."""
    remedy = remedy_for(code)
    return f"{by} refused {operation}: {code}{f'; {remedy}' if remedy else ''}"


def refusal_behind(error: BaseException) -> str | None:
    """Return such a sentence if `error` came of an answer of AWS that has a remedy."""
    behind: BaseException | None = error
    while behind is not None:
        # PynamoDB keeps botocore's error beside its own chain.
        original = getattr(behind, "cause", behind)
        if isinstance(original, ClientError) and remedy_for(code_of(original)):
            return refused(original.operation_name, code_of(original))
        behind = behind.__cause__ or behind.__context__
    return None
