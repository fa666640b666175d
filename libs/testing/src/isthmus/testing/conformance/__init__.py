"""The conformance kit: what makes a connector, tried by the contract alone.

In the test of a connector that is written with the SDK one line is enough:

```python
test_conformance = conformance(Acme, AcmeSandbox)
```
"""

from isthmus.testing.conformance import (  # noqa: F401  they add their checks
    checking,
    describing,
    failing,
    reading,
    receiving,
    secrecy,
    writing,
)
from isthmus.testing.conformance.subject import LIMITS, Subject, beside, reaching
from isthmus.testing.conformance.suite import Verdict, conformance, judged, verdicts
from isthmus.testing.conformance.verdicts import CHECKS, Check, Nonconforming, NotApplicable

__all__ = [
    "CHECKS",
    "LIMITS",
    "Check",
    "Nonconforming",
    "NotApplicable",
    "Subject",
    "Verdict",
    "beside",
    "conformance",
    "judged",
    "reaching",
    "verdicts",
]
