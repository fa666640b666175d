"""Words of services in words of the command line."""

import re

_COMMANDS = {
    "ListConfigurationRevisions": "isthmus instances history INSTANCE",
    "ListApiKeys": "isthmus keys list",
    "ListAuthConfigs": "isthmus credentials list",
    "ListConflicts": "isthmus conflicts list",
    "ListConnectors": "isthmus connectors list",
    "ListExecutions": "isthmus executions list",
    "ListFlows": "isthmus flows list",
    "ListInstances": "isthmus instances list",
    "ListLinks": "isthmus links list FLOW",
    "ListMappings": "isthmus mappings list",
    "ListPlanRuns": "isthmus plans runs",
    "ListPlans": "isthmus plans list",
    "ListProviders": "isthmus providers list",
    "ListQuarantine": "isthmus quarantine list",
    "ListReconciliations": "isthmus reconcile list",
    "ListGroups": "isthmus groups list",
    "ListRoles": "isthmus roles list",
    "ListSchedules": "isthmus schedules list",
    "ListServiceAccounts": "isthmus service-accounts list",
    "ListSessions": "isthmus sessions list",
    "ListTenants": "isthmus tenants list",
    "ListUsers": "isthmus users list",
}
_RPC = re.compile(rf"`?\b({'|'.join(_COMMANDS)})\b`?")


def for_people(message: str) -> str:
    """Names the command where a service names its RPC: `ListFlows` to `isthmus flows list`."""
    return _RPC.sub(lambda found: f"`{_COMMANDS[found[1]]}`", message)
