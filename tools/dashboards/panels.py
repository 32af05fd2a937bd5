"""The few kinds of panels that all dashboards are made of, so that they look alike.

Expressions are PromQL, with one thing more: `{@` stands for `{instance=~"$instance"`, so `name{@}` and
`name{@, source="x"}` are what is asked of the chosen instances.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, TypeAlias

from grafana_foundation_sdk.builders import common as build_common
from grafana_foundation_sdk.builders import dashboard as build
from grafana_foundation_sdk.builders import prometheus, stat, table, timeseries
from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.models import common
from grafana_foundation_sdk.models import dashboard as model
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

RUNBOOKS = "https://github.com/cryptowatcher/cryptowatcher/blob/main/docs/runbooks"
TAG = "cryptowatcher"
SOURCE = model.DataSourceRef(type_val="prometheus", uid="${datasource}")
Panel: TypeAlias = Builder[model.Panel]
HEIGHT = 8
LOW = 4


class Ask(NamedTuple):
    """A query: what to ask, and what its lines are called (`{{label}}` is replaced)."""

    expr: str
    legend: str = ""


class Limit(NamedTuple):
    """From `value` on a number is shown in `colour`."""

    value: float
    colour: str


def too_high(warn: float, bad: float) -> tuple[str, tuple[Limit, ...]]:
    """Green, then orange, then red."""
    return "green", (Limit(warn, "orange"), Limit(bad, "red"))


def too_low(bad: float, warn: float) -> tuple[str, tuple[Limit, ...]]:
    """Red, then orange, then green."""
    return "red", (Limit(bad, "orange"), Limit(warn, "green"))


PLAIN: tuple[str, tuple[Limit, ...]] = ("blue", ())


def number(
    title: str,
    meaning: str,
    ask: Ask,
    *,
    unit: str = "short",
    limits: tuple[str, tuple[Limit, ...]] = PLAIN,
    words: dict[str, tuple[str, str]] | None = None,
    decimals: int | None = None,
    span: int = 4,
    runbook: str = "",
) -> Panel:
    """The newest value, large. `words`: value → (text, colour) shown in its place."""
    panel = (
        stat.Panel()
        .title(title)
        .description(meaning)
        .datasource(SOURCE)
        .unit(unit)
        .thresholds(_thresholds(limits))
        .color_mode(common.BigValueColorMode.BACKGROUND if limits is not PLAIN else common.BigValueColorMode.VALUE)
        .graph_mode(common.BigValueGraphMode.NONE)
        .reduce_options(build_common.ReduceDataOptions().calcs(["lastNotNull"]).values(False))
        .no_value("none")
        .height(LOW)
        .span(span)
        .with_target(_query(ask, "A", instant=True))
    )
    if decimals is not None:
        panel = panel.decimals(decimals)
    if words:
        shown = {
            value: model.ValueMappingResult(text=text, color=colour) for value, (text, colour) in words.items()
        }
        panel = panel.mappings([model.ValueMap(options=shown)])
    return panel.links(_links(runbook)) if runbook else panel


def lines(
    title: str,
    meaning: str,
    asks: Sequence[Ask],
    *,
    unit: str = "short",
    limit: Limit | None = None,
    floor: float | None = 0.0,
    stacked: bool = False,
    span: int = 12,
    runbook: str = "",
) -> Panel:
    """Values over time. `limit` is drawn as a line; `floor`: where the axis begins at most, None for anywhere."""
    panel = (
        timeseries.Panel()
        .title(title)
        .description(meaning)
        .datasource(SOURCE)
        .unit(unit)
        .line_width(1)
        .fill_opacity(30 if stacked else 5)
        .show_points(common.VisibilityMode.NEVER)
        .legend(
            build_common.VizLegendOptions()
            .display_mode(common.LegendDisplayMode.TABLE)
            .placement(common.LegendPlacement.BOTTOM)
            .show_legend(True)
            .calcs(["lastNotNull", "max"])
        )
        .tooltip(
            build_common.VizTooltipOptions()
            .mode(common.TooltipDisplayMode.MULTI)
            .sort(common.SortOrder.DESCENDING)
        )
        .height(HEIGHT)
        .span(span)
        .targets([_query(ask, chr(ord("A") + place), instant=False) for place, ask in enumerate(asks)])
    )
    if floor is not None:
        panel = panel.axis_soft_min(floor)
    if stacked:
        panel = panel.stacking(build_common.StackingConfig().mode(common.StackingMode.NORMAL).group("A"))
    if limit is not None:
        panel = panel.thresholds(_thresholds(("transparent", (limit,)))).thresholds_style(
            build_common.GraphThresholdsStyleConfig().mode(common.GraphThresholdsStyleMode.DASHED)
        )
    return panel.links(_links(runbook)) if runbook else panel


def rows(
    title: str,
    meaning: str,
    columns: dict[str, tuple[str, str]],
    *,
    keep: Sequence[str],
    sort: str,
    descending: bool = True,
    span: int = 24,
    height: int = HEIGHT,
) -> Panel:
    """A table of the newest values. `columns`: heading → (expression, unit); `keep`: the labels that are columns
    too, in front."""
    refs = {heading: chr(ord("A") + place) for place, heading in enumerate(columns)}
    values = {f"Value #{ref}" if len(refs) > 1 else "Value": heading for heading, ref in refs.items()}
    order = [*keep, *values]
    panel = (
        table.Panel()
        .title(title)
        .description(meaning)
        .datasource(SOURCE)
        .height(height)
        .span(span)
        .targets(
            [
                _query(Ask(expr), refs[heading], instant=True).format(PromQueryFormat.TABLE)
                for heading, (expr, _) in columns.items()
            ]
        )
        .with_transformation(model.DataTransformerConfig(id_val="merge", options={}))
        .with_transformation(
            model.DataTransformerConfig(
                id_val="filterFieldsByName", options={"include": {"names": [*keep, *values]}}
            )
        )
        .with_transformation(
            model.DataTransformerConfig(
                id_val="organize",
                options={
                    "indexByName": {name: place for place, name in enumerate(order)},
                    "renameByName": values,
                },
            )
        )
        .sort_by([build_common.TableSortByFieldState().display_name(sort).desc(descending)])
    )
    for heading, (_, unit) in columns.items():
        panel = panel.override_by_name(heading, [model.DynamicConfigValue(id_val="unit", value=unit)])
    return panel


def dashboard(name: str, title: str, meaning: str, parts: dict[str, list[Panel]]) -> build.Dashboard:
    """A dashboard with its rows. The datasource and the instances are chosen by whoever looks."""
    board = (
        build.Dashboard(f"cryptowatcher: {title}")
        .uid(f"cryptowatcher-{name}")
        .description(meaning)
        .tags([TAG])
        .timezone("utc")
        .readonly()
        .refresh("30s")
        .time("now-6h", "now")
        .tooltip(model.DashboardCursorSync.CROSSHAIR)
        .with_variable(build.DatasourceVariable("datasource").label("Prometheus").type("prometheus"))
        .with_variable(_instances())
        .annotation(
            build.AnnotationQuery()
            .name("Starts of the pipeline")
            .datasource(SOURCE)
            .enable(True)
            .icon_color("purple")
            .expr(expand("changes(cryptowatcher_pipeline_start_timestamp_seconds{@}[1m]) > 0"))
        )
        .link(
            build.DashboardLink("More of cryptowatcher")
            .type(model.DashboardLinkType.DASHBOARDS)
            .tags([TAG])
            .as_dropdown(True)
            .include_vars(True)
            .keep_time(True)
        )
        .link(
            build.DashboardLink("Runbooks")
            .type(model.DashboardLinkType.LINK)
            .icon("doc")
            .url(f"{RUNBOOKS}/README.md")
            .target_blank(True)
        )
    )
    for heading, panels in parts.items():
        board = board.with_row(build.Row(heading))
        for panel in panels:
            board = board.with_panel(panel)
    return board


def values_of(label: str, metric: str, name: str, title: str) -> build.QueryVariable:
    """A choice among the values of a label, all of them at first."""
    return (
        build.QueryVariable(name)
        .label(title)
        .datasource(SOURCE)
        .query({"query": f"label_values({metric}, {label})", "refId": name})
        .refresh(model.VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(model.VariableSort.ALPHABETICAL_ASC)
        .multi(True)
        .include_all(True)
        .all_value(".+")
        .current(model.VariableOption(selected=True, text="All", value="$__all"))
    )


def expand(expr: str) -> str:
    """PromQL with the chosen instances in it."""
    return expr.replace("{@", '{instance=~"$instance"')


def _instances() -> build.QueryVariable:
    return values_of("instance", "cryptowatcher_build_info", "instance", "Instance")


def _query(ask: Ask, ref: str, *, instant: bool) -> prometheus.Dataquery:
    query = prometheus.Dataquery().expr(expand(ask.expr)).ref_id(ref).datasource(SOURCE)
    query = query.instant() if instant else query.range()
    return query.legend_format(ask.legend) if ask.legend else query


def _thresholds(limits: tuple[str, tuple[Limit, ...]]) -> build.ThresholdsConfig:
    first, more = limits
    steps = [model.Threshold(value=None, color=first)]
    steps += [model.Threshold(value=limit.value, color=limit.colour) for limit in more]
    return build.ThresholdsConfig().mode(model.ThresholdsMode.ABSOLUTE).steps(steps)


def _links(runbook: str) -> list[Builder[model.DashboardLink]]:
    return [
        build.DashboardLink(f"What to do: {runbook}")
        .type(model.DashboardLinkType.LINK)
        .url(f"{RUNBOOKS}/{runbook}.md")
        .target_blank(True)
    ]
