"""OpenID Connect providers of tenants, and logins that have begun with them."""

from alembic import op
from isthmus.kit.migration import isolate

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    op.execute("""
        create table providers (
            tenant_id text not null,
            provider_id text not null,
            name text not null,
            issuer text not null,
            client_id text not null,
            has_client_secret boolean not null,
            scopes text[] not null,
            audience text not null,
            name_claim text not null,
            role_claim text not null,
            role_mappings jsonb not null,
            redirect_uris text[] not null,
            is_disabled boolean not null,
            created_by text not null,
            create_time timestamptz not null,
            update_time timestamptz not null,
            revision integer not null,
            primary key (tenant_id, provider_id),
            unique (tenant_id, name)
        )""")
    # A token of a program names issuer and audience and no tenant: both together belong to one tenant.
    op.execute(
        "create unique index providers_by_audience on providers (issuer, audience) where audience <> ''"
    )
    op.execute("""
        create table provider_logins (
            tenant_id text not null,
            digest bytea not null,
            provider_id text not null,
            nonce text not null,
            sealed_verifier text not null,
            redirect_uri text not null,
            expire_time timestamptz not null,
            primary key (tenant_id, digest),
            foreign key (tenant_id, provider_id) references providers on delete cascade
        )""")
    op.execute("create index provider_logins_by_digest on provider_logins (digest)")
    op.execute(
        "create unique index users_of_providers on users (tenant_id, external_id) "
        "where external_id like 'oidc:%'"
    )
    for table in ("providers", "provider_logins"):
        isolate(op, table)
