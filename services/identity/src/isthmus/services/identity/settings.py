"""What can be set about the identity service."""

from isthmus.kit import ServiceSettings
from pydantic import Field


class IdentitySettings(ServiceSettings):
    """The chassis' settings, where secrets lie, and how long what holds."""

    pepper_path: str = Field("pepper", description="Path of the pepper in the service's folder of the vault.")
    signing_keys_path: str = Field(
        "signing-keys", description="Path of the signing keys in the service's folder of the vault."
    )
    totp_path: str = Field(
        "totp", description="Folder of authenticators' secrets in the tenant's folder of the vault."
    )
    usage_seconds: float = Field(
        5.0, gt=0, description="How long uses of API keys are gathered before they are written down."
    )
    sweep_seconds: float = Field(
        3600.0, gt=0, description="How often what is over is removed, and keys that end soon are told."
    )
    signing_key_days: float = Field(30.0, gt=0, description="Age at which the signing key is replaced.")
    access_token_minutes: float = Field(10.0, gt=0, le=60, description="How long an access token lives.")
    session_hours: float = Field(
        12.0, gt=0, description="How long a session lasts, however often it is refreshed."
    )
    support_hours: float = Field(
        8.0, gt=0, le=720, description="The longest time for which access to a tenant can be asked for."
    )
    quota_calls_per_minute: int = Field(
        120_000, ge=-1, description="Calls of a tenant a minute, at each service; -1 sets no limit."
    )
    quota_users: int = Field(100_000, ge=-1, description="Users of a tenant; -1 sets no limit.")
    quota_service_accounts: int = Field(
        10_000, ge=-1, description="Service accounts of a tenant; -1 sets no limit."
    )
    quota_api_keys: int = Field(10_000, ge=-1, description="API keys of a tenant in force; -1 sets no limit.")
    quota_instances: int = Field(10_000, ge=-1, description="Instances of a tenant; -1 sets no limit.")
    quota_flows: int = Field(10_000, ge=-1, description="Flows of a tenant; -1 sets no limit.")
    quota_stored_records: int = Field(
        -1, ge=-1, description="Records of a tenant in the hub; -1 sets no limit."
    )
    quota_records_per_day: int = Field(
        -1, ge=-1, description="Records of a tenant written into the hub a day; -1 sets no limit."
    )
    quota_log_lines_per_day: int = Field(
        -1, ge=-1, description="Lines of a tenant's integration logs a day; -1 sets no limit."
    )
    quota_events_per_day: int = Field(
        -1, ge=-1, description="Events of its own that a tenant publishes a day; -1 sets no limit."
    )
    quota_stored_bytes: int = Field(
        -1, ge=-1, description="Bytes that the content of a tenant's records takes; -1 sets no limit."
    )
    password_memory_kib: int = Field(65_536, ge=8_192, description="Memory that checking a password takes.")
    password_passes: int = Field(3, ge=1, description="How often that memory is gone over.")
