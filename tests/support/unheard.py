"""A transaction that is written and of which nobody hears, while somebody else changes what it rests on."""

from __future__ import annotations

from collections.abc import Callable

from tests.support.fault_proxy import Answer, Fault, FaultProxy, LoseReply, Meanwhile


def unheard(proxy: FaultProxy, table: str, meanwhile: Callable[[], object]) -> Fault:
    """Let the next transaction on `table` be written, call `meanwhile`, and lose its answer.

    When it is sent again it is said to be in progress, so that it is planned anew. Returns the fault that
    says so.
    """

    def fault(action: Meanwhile | LoseReply | Answer, skip: int = 0) -> Fault:
        return proxy.add(
            Fault(
                action,
                operation="TransactWriteItems",
                where=lambda request: f'"{table}"'.encode() in request.body,
                skip=skip,
                times=1,
            )
        )

    fault(Meanwhile(lambda _: meanwhile()))
    fault(LoseReply())
    return fault(Answer.dynamodb("TransactionInProgressException"), skip=1)
