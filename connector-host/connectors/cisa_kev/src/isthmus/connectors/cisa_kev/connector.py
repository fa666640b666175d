"""Reads the catalogue as one document and gives its vulnerabilities."""

from collections.abc import AsyncIterator
from typing import Any, ClassVar

from isthmus.sdk import Api, AuthMethod, Connector, DataClass, DataFailure, Page, Reply, source
from isthmus.sdk.classified import KEYWORD
from pydantic import BaseModel, ConfigDict, Field, HttpUrl

FEED = "https://www.cisa.gov/sites/default/files/feeds/known_exploited_vulnerabilities.json"
_PAGE = 500


class Settings(BaseModel):
    """Where the catalogue comes from."""

    model_config = ConfigDict(extra="forbid")

    url: HttpUrl = Field(HttpUrl(FEED), description="The public feed, or a mirror of it.")


class Vulnerability(BaseModel):
    """One vulnerability that is known to be exploited, as CISA publishes it."""

    # The catalogue is published for everybody.
    model_config = ConfigDict(extra="allow", json_schema_extra={KEYWORD: DataClass.PUBLIC})

    cveID: str = Field(pattern=r"^CVE-\d{4}-\d{4,19}$", description="For example CVE-2025-23006.")  # noqa: N815
    vendorProject: str  # noqa: N815
    product: str
    vulnerabilityName: str  # noqa: N815
    dateAdded: str = Field(pattern=r"^\d{4}-\d{2}-\d{2}$")  # noqa: N815
    shortDescription: str  # noqa: N815
    requiredAction: str  # noqa: N815
    dueDate: str = Field(pattern=r"^\d{4}-\d{2}-\d{2}$", description="When federal agencies have to be done.")  # noqa: N815
    knownRansomwareCampaignUse: str = Field("Unknown", description="Known or Unknown.")  # noqa: N815
    notes: str = ""
    cwes: list[str] = []


class CisaKev(Connector[Settings]):
    """Reads the Known Exploited Vulnerabilities catalogue of CISA."""

    connector_id = "cisa-kev"
    title = "CISA Known Exploited Vulnerabilities"
    system_type = "threat-intelligence"
    vendor = "CISA"
    author = "Isthmus"
    is_built_in = True
    documentation_url = "https://www.cisa.gov/known-exploited-vulnerabilities-catalog"
    auth_methods: ClassVar[tuple[AuthMethod, ...]] = (AuthMethod.NONE,)

    def open(self) -> None:
        """Makes the client."""
        self.api = Api(self.settings.url)

    @source(key="cveID")
    async def vulnerabilities(self, state: dict[str, Any]) -> AsyncIterator[Page[Vulnerability]]:
        """Vulnerabilities known to be exploited; nothing where the catalogue did not change."""
        reply = await self.api.get(if_none_match=state.get("etag", ""))
        if reply.not_modified:
            return
        catalogue = _catalogue(reply, await reply.readable("vulnerabilities"))
        edition = f"{catalogue['catalogVersion']} {catalogue.get('dateReleased', '')}"
        # Mirrors without entity tags are known by the edition.
        if state.get("edition") == edition:
            self.context.stats.not_modified = True
            return
        entries = catalogue["vulnerabilities"]
        for start in range(0, len(entries), _PAGE):
            yield Page.parse(Vulnerability, entries[start : start + _PAGE])
        state.update(etag=reply.etag, edition=edition)


def _catalogue(reply: Reply, body: Any) -> dict[str, Any]:
    """The catalogue when it is one and complete.

    Raises:
        DataFailure: `CATALOGUE_INVALID` or `CATALOGUE_INCOMPLETE`.
    """
    if (
        not isinstance(body, dict)
        or not isinstance(body.get("vulnerabilities"), list)
        or "catalogVersion" not in body
    ):
        message = f"{reply.url} is not the catalogue: catalogVersion or vulnerabilities is missing."
        raise DataFailure("CATALOGUE_INVALID", message)
    told, found = body.get("count"), len(body["vulnerabilities"]) + len(reply.unread)
    if told != found:
        message = (
            f"{reply.url} tells of {told} vulnerabilities and holds {found}; it is incomplete, repeat later."
        )
        raise DataFailure("CATALOGUE_INCOMPLETE", message)
    return body
