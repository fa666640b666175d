"""What an exception that nobody foresaw means for a flow."""

import ssl

from isthmus.resilience.faults import Fault
from isthmus.sdk.failures import DataFailure, Failure, Fatal, TransientFailure
from pydantic import ValidationError

_DEFECTS = (TypeError, AttributeError, NameError, ImportError, NotImplementedError, AssertionError)
_TABLE: tuple[tuple[tuple[type[BaseException], ...], type[Failure], str, str], ...] = (
    (
        (TimeoutError,),
        TransientFailure,
        "SYSTEM_UNREACHABLE",
        "The system did not answer in time; repeat later.",
    ),
    (
        (ssl.SSLError, OSError),
        TransientFailure,
        "SYSTEM_UNREACHABLE",
        "The connection failed ({kind}); check the address and the network.",
    ),
    (_DEFECTS, Fatal, "CONNECTOR_DEFECT", "The connector failed with {kind}; report it to its author."),
    (
        (KeyError, IndexError, ValueError),
        DataFailure,
        "SYSTEM_ANSWER_INVALID",
        "The system's answer lacks something expected ({kind}).",
    ),
)


def classify(error: BaseException) -> Failure:
    """Gives the typed failure for any exception; the texts of unknown exceptions are not repeated.

    Programming mistakes are fatal, a missing field or a bad value is a data
    failure, and everything unknown counts as transient.
    """
    if isinstance(error, Failure):
        return error
    if isinstance(error, ValidationError):
        return _misfit(error)
    if isinstance(error, Fault):
        return TransientFailure(error.reason, error.message, metadata=error.metadata)
    kind = f"{type(error).__name__}{_where(error)}"
    for types, failure, reason, text in _TABLE:
        if isinstance(error, types):
            return failure(reason, text.format(kind=kind))
    return TransientFailure("UNEXPECTED", f"The connector failed with {kind}; repeat later.")


def _misfit(error: ValidationError) -> Failure:
    first = error.errors(include_input=False, include_url=False, include_context=False)[0]
    path = ".".join(str(part) for part in first["loc"])
    message = f"The system's answer does not fit: {path or 'record'}: {first['msg']}."
    return DataFailure("SYSTEM_ANSWER_INVALID", message, path=path)


def _where(error: BaseException) -> str:
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    if trace is None:
        return ""
    code = trace.tb_frame.f_code
    return f" in {code.co_name}, line {trace.tb_lineno}"
