"""`isthmus plans`: steps over several systems, and their runs."""

import time
import uuid
from collections.abc import Iterator
from typing import Annotated

import grpc
import typer
from isthmus.client.cli.context import mesh_of, plan_id
from isthmus.client.cli.output import Column, Format, Limit, Output, as_dict, emit, note, show, show_one, when
from isthmus.client.cli.output import word as shortened
from isthmus.client.cli.priority import Priority, priority_of
from isthmus.client.cli.wording import for_people
from isthmus.client.mesh import Mesh, pages
from isthmus.client.problem import ExitCode, Problem
from isthmus.scheduling.v1 import plans_pb2

_plans = typer.Typer(help="Steps over several systems, in order, undone together.", no_args_is_help=True)
_RETRY_SECONDS = 60.0
_LIVE = frozenset({plans_pb2.PlanRun.STATUS_RUNNING, plans_pb2.PlanRun.STATUS_COMPENSATING})
Plan = Annotated[str, typer.Argument(help="Name or id of a plan.")]
Run = Annotated[str, typer.Argument(help="Id of a run.")]
Follow = Annotated[bool, typer.Option("--watch", "-w", help="Show what happens until the run ends.")]


def register(app: typer.Typer) -> None:
    """Adds the group to the command line."""
    app.add_typer(_plans, name="plans")


def _status(run: plans_pb2.PlanRun) -> str:
    state = shortened(plans_pb2.PlanRun.Status.Name(run.status), "STATUS_")
    return f"{state} (paused)" if run.is_paused else state


def _step_status(step: plans_pb2.PlanStepRun) -> str:
    return shortened(plans_pb2.PlanStepRun.Status.Name(step.status), "STATUS_")


def _done(run: plans_pb2.PlanRun) -> str:
    return f"{sum(1 for step in run.steps if step.completion)}/{len(run.steps)}"


_RUNS = (
    Column("RUN", lambda run: run.plan_run_id),
    Column("PLAN", lambda run: run.plan_name),
    Column("STATUS", _status),
    Column("STARTED", lambda run: when(run.create_time)),
    Column("ENDED", lambda run: when(run.end_time)),
    Column("STEPS", _done),
    Column("WHY", lambda run: for_people(run.message), wide=True),
)
_STEPS = (
    Column("STEP", lambda step: step.name),
    Column("STATUS", _step_status),
    Column("STARTED", lambda step: when(step.start_time)),
    Column("ENDED", lambda step: when(step.end_time)),
    Column("EXECUTION", lambda step: step.execution_id or "-"),
    Column("UNDONE BY", lambda step: step.compensation_id or "-"),
    Column("WHY", lambda step: for_people(step.message), wide=True),
)


@_plans.command("list")
def list_plans(ctx: typer.Context, limit: Limit = 0, output: Output = Format.TABLE) -> None:
    """Lists plans.

    Example: `isthmus plans list`
    """
    columns = (
        Column("PLAN", lambda item: item.name),
        Column("MODE", lambda item: shortened(plans_pb2.Plan.Mode.Name(item.mode), "MODE_")),
        Column("STEPS", lambda item: ", ".join(step.name for step in item.steps)),
        Column("ACTIVE", lambda item: "yes" if item.is_active else "no"),
        Column("ID", lambda item: item.plan_id),
    )
    found = pages(mesh_of(ctx).plans.ListPlans, plans_pb2.ListPlansRequest(), "plans", limit)
    show(found, columns, output, empty="There is no plan yet: `isthmus apply -f FILE` creates one.")


@_plans.command("show")
def show_plan(ctx: typer.Context, plan: Plan, output: Output = Format.YAML) -> None:
    """Shows a plan.

    Example: `isthmus plans show pln_01j9`
    """
    mesh = mesh_of(ctx)
    show_one(mesh.plans.GetPlan(plans_pb2.GetPlanRequest(plan_id=plan_id(mesh, plan))).plan, output)


@_plans.command("delete")
def delete(ctx: typer.Context, plan: Plan, output: Output = Format.YAML) -> None:
    """Deletes a plan with its schedules; the history of its runs stays.

    Example: `isthmus plans delete pln_01j9`
    """
    mesh = mesh_of(ctx)
    found = plan_id(mesh, plan)
    mesh.plans.DeletePlan(plans_pb2.DeletePlanRequest(plan_id=found))
    emit({"deleted": found}, output)


@_plans.command("run")
def run_plan(
    ctx: typer.Context,
    plan: Plan,
    follow: Follow = False,
    priority: Priority = "",
    output: Output = Format.TABLE,
) -> None:
    """Runs a plan now; with --watch it ends with 1 unless every step is complete.

    Example: `isthmus plans run pln_01j9 --watch`
    """
    mesh = mesh_of(ctx)
    request = plans_pb2.StartPlanRunRequest(
        plan_id=plan_id(mesh, plan), request_id=str(uuid.uuid4()), priority=priority_of(priority)
    )
    run = mesh.plans.StartPlanRun(request).run
    _conclude(mesh, run, output, follow=follow)


@_plans.command("runs")
def list_runs(
    ctx: typer.Context,
    plan: Annotated[str, typer.Argument(help="Only of this plan, by name or id.")] = "",
    status: Annotated[
        list[str] | None, typer.Option("--status", help="Only in this state; repeatable.")
    ] = None,
    limit: Limit = 20,
    output: Output = Format.TABLE,
) -> None:
    """Lists runs of plans, newest first.

    Example: `isthmus plans runs --status compensated`
    """
    mesh = mesh_of(ctx)
    request = plans_pb2.ListPlanRunsRequest(
        plan_id=plan_id(mesh, plan) if plan else "", statuses=[_status_named(name) for name in status or []]
    )
    found = pages(mesh.plans.ListPlanRuns, request, "runs", limit)
    show(found, _RUNS, output, empty="No plan has run yet: `isthmus plans run PLAN` runs one.")


@_plans.command("steps")
def show_steps(ctx: typer.Context, run: Run, output: Output = Format.TABLE) -> None:
    """Shows a run with its steps, their executions and reasons.

    Example: `isthmus plans steps run_01j9`
    """
    request = plans_pb2.GetPlanRunRequest(plan_run_id=run)
    _show(mesh_of(ctx).plans.GetPlanRun(request).run, output)


@_plans.command("watch")
def watch_run(ctx: typer.Context, run: Run, output: Output = Format.TABLE) -> None:
    """Shows what happens in a run until it ends; ends with 1 unless every step is complete.

    Example: `isthmus plans watch run_01j9`
    """
    _conclude(mesh_of(ctx), plans_pb2.PlanRun(plan_run_id=run), output, follow=True)


@_plans.command("cancel")
def cancel(
    ctx: typer.Context,
    run: Run,
    compensate: Annotated[
        bool, typer.Option("--compensate", help="Undo the steps that are complete.")
    ] = False,
    output: Output = Format.TABLE,
) -> None:
    """Starts no further step and cancels what is at work.

    Example: `isthmus plans cancel run_01j9 --compensate`
    """
    request = plans_pb2.CancelPlanRunRequest(plan_run_id=run, compensate=compensate)
    _show(mesh_of(ctx).plans.CancelPlanRun(request).run, output)


@_plans.command("pause")
def pause(ctx: typer.Context, run: Run, output: Output = Format.TABLE) -> None:
    """Starts no further step for a while, and stops what is at work at its next position.

    Example: `isthmus plans pause run_01j9`
    """
    request = plans_pb2.PausePlanRunRequest(plan_run_id=run)
    _show(mesh_of(ctx).plans.PausePlanRun(request).run, output)


@_plans.command("resume")
def resume(ctx: typer.Context, run: Run, output: Output = Format.TABLE) -> None:
    """Lets a paused run go on, from where it stopped.

    Example: `isthmus plans resume run_01j9`
    """
    request = plans_pb2.ResumePlanRunRequest(plan_run_id=run)
    _show(mesh_of(ctx).plans.ResumePlanRun(request).run, output)


def _conclude(mesh: Mesh, run: plans_pb2.PlanRun, output: Format, *, follow: bool) -> None:
    if not follow:
        _show(run, output)
        return
    told: dict[str, str] = {}
    last = run
    for last in _answers(mesh, run.plan_run_id):
        for step in last.steps:
            state = " ".join(part for part in (_step_status(step), for_people(step.message)) if part)
            if told.get(step.name, "waiting") != state and output is Format.TABLE:
                note(f"{step.name}: {state}")
            told[step.name] = state
    _show(last, output)
    if last.status != plans_pb2.PlanRun.STATUS_COMPLETED:
        raise typer.Exit(ExitCode.FAILED)


def _show(run: plans_pb2.PlanRun, output: Format) -> None:
    if output is not Format.TABLE:
        emit(as_dict(run, output), output)
        return
    show([run], _RUNS, output, empty="")
    show(run.steps, _STEPS, output, empty="")


def _answers(mesh: Mesh, run_id: str) -> Iterator[plans_pb2.PlanRun]:
    """Follows a run to its end; a control plane that restarts meanwhile is waited for, up to a minute."""
    request = plans_pb2.WatchPlanRunRequest(plan_run_id=run_id)
    give_up = time.monotonic() + _RETRY_SECONDS
    while True:
        try:
            for answer in mesh.plans.WatchPlanRun(request):
                give_up = time.monotonic() + _RETRY_SECONDS
                yield answer.run
                if answer.run.status not in _LIVE:
                    return
        except grpc.RpcError as error:
            away = isinstance(error, grpc.Call) and error.code() is grpc.StatusCode.UNAVAILABLE
            if not away or time.monotonic() > give_up:
                raise
        time.sleep(0.5)


def _status_named(name: str) -> plans_pb2.PlanRun.Status.ValueType:
    try:
        return plans_pb2.PlanRun.Status.Value(f"STATUS_{name.upper()}")
    except ValueError as error:
        known = ", ".join(sorted(shortened(key, "STATUS_") for key in plans_pb2.PlanRun.Status.keys()[1:]))
        raise Problem(
            "STATUS_UNKNOWN", f"{name} is no state: use one of {known}.", exit_code=ExitCode.USAGE
        ) from error
