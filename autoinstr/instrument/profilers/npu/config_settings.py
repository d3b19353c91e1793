"""Sets arguments of torch_npu's `_ExperimentalConfig` over those that the program gives. Where mstx
ranges are written, what module_statistic needs is there without being asked for: ranges are taken,
and a database is exported."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Any

from autoinstr.base import log
from autoinstr.instrument.profilers.effective import OURS, Effective
from autoinstr.instrument.profilers.npu import rules
from autoinstr.instrument.profilers.npu.arguments import Call, wrap

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import ModuleType

MODULE = "torch_npu.profiler.experimental_config"
_TX = ("mstx", "msprof_tx")  # which of them there are depends on the version; either is enough
_PLAIN = (
    "l2_cache",
    "data_simplification",
    "record_op_args",
    "op_attr",
    "gc_detect_threshold",
    "host_sys",
    "sys_io",
    "sys_interconnection",
    "mstx_domain_include",
    "mstx_domain_exclude",
)


class ConfigParameters:
    """For every _ExperimentalConfig of this process."""

    def __init__(
        self, values: Mapping[str, Any], source: str, domain: str | None, effective: Effective
    ) -> None:
        """source: where `values` stand. domain: of module ranges; None where none are written to
        mstx."""
        self._values = values
        self._source = source
        self._domain = domain
        self._effective = effective

    def apply(self, module: ModuleType) -> None:
        """`module` is torch_npu.profiler.experimental_config."""
        levels, metrics = _constants(module.ProfilerLevel), _constants(module.AiCMetrics)
        words = {constant: word for word, constant in metrics.items()}
        known = rules.Known(
            levels,
            metrics,
            tuple(_constants(module.ExportType).values()),
            _hosts(module),
            lambda: _exports_db_anyway(module),
        )
        several = hasattr(module._ExperimentalConfig, "_conver_export_type_to_list")

        def settle(call: Call) -> None:
            self._set_constant(call, "profiler_level", levels)
            self._set_constant(call, "aic_metrics", metrics)
            self._set_ranges(call)
            self._set_exports(call, known, several)
            for name in _PLAIN:
                if name in self._values:
                    call.set(name, self._values[name], self._source)
            call.announce(rules.of_config(call.given, known), words)
            self._look_at_domains(call)

        def made(config: Any, call: Call) -> None:
            taken = {
                name: getattr(config, f"_{name}", getattr(config, name, None))
                for name in call.parameters
            }
            self._effective.config_made(
                config, [call.row(name, value, words) for name, value in taken.items()]
            )

        wrap(module._ExperimentalConfig, settle, made, lambda _: False)

    def _set_constant(self, call: Call, name: str, constants: Mapping[str, Any]) -> None:
        word = self._values.get(name)
        if word is None:
            return
        if word in constants:
            call.set(name, constants[word], self._source)
        else:
            log.once(
                f"torch_npu has no {word}",
                "warning",
                "this torch_npu has no such value",
                parameter=name,
                value=word,
            )

    def _set_ranges(self, call: Call) -> None:
        there = [name for name in _TX if name in call.parameters]
        asked = "mstx" in self._values
        wanted = self._values["mstx"] if asked else self._domain is not None
        if not (asked or wanted) or (
            wanted and any(call.given.get(name) is True for name in there)
        ):
            return
        if not there:
            log.once(
                "torch_npu has no mstx",
                "warning",
                "this torch_npu takes no ranges",
                parameter="mstx",
            )
        for name in there[:1] if wanted else there:
            call.set(name, wanted, self._source if asked else OURS)

    def _set_exports(self, call: Call, known: rules.Known, several: bool) -> None:
        """several: a list is taken. Where it is not (before torch_npu 2.5), and where there are no
        domains, module_statistic has nothing to read. Without msprof torch_npu's analysis would end
        at a database, and leave nothing of the program's export either."""
        wanted = self._values.get("export_type")
        if wanted is not None:
            if not several and len(wanted) > 1:
                log.once(
                    "export_type",
                    "warning",
                    "this torch_npu exports one type at a time",
                    asked=wanted,
                    taken=wanted[-1],
                )
            call.set("export_type", list(wanted) if several else wanted[-1], self._source)
        elif self._domain is not None and several and "mstx_domain_include" in call.parameters:
            given = call.given.get("export_type") or []
            listed = given if isinstance(given, list) else [given]
            good = [one for one in listed if one in known.exports] or ["text"]
            if "db" in good:
                return
            if shutil.which("msprof"):
                call.set("export_type", [*good, "db"], OURS)
            else:
                log.once(
                    "no msprof",
                    "warning",
                    "msprof is not on PATH: no database, which module_statistic needs, is exported",
                )

    def _look_at_domains(self, call: Call) -> None:
        names = ("mstx_domain_include", "mstx_domain_exclude")
        include, exclude = (
            () if name in call.announced else call.given.get(name) or () for name in names
        )
        name = names[0] if include else names[1]
        if self._domain is not None and (
            self._domain not in include if include else self._domain in exclude
        ):
            log.once(
                "domain filter",
                "warning",
                "a domain filter leaves module ranges out",
                domain=self._domain,
                parameter=name,
            )


def _constants(cls: type) -> dict[str, Any]:
    return {name: value for name, value in vars(cls).items() if not name.startswith("_")}


def _hosts(module: ModuleType) -> tuple[Any, ...]:
    cls = getattr(module, "HostSystem", None)
    return tuple(_constants(cls).values()) if cls is not None else ()


def _exports_db_anyway(module: ModuleType) -> bool:
    manager = getattr(module, "CannPackageManager", None)
    ask = getattr(manager, "is_support_default_export_db", None)
    return bool(ask is not None and ask())
