"""Sets arguments of torch_npu's `_ExperimentalConfig` over those of the program.

If ranges go to mstx, it also sets what module_statistic needs: torch_npu takes ranges and exports a
database.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from autoinstr.base import log
from autoinstr.base.system import calls, is_file
from autoinstr.instrument.profilers.effective import AUTOINSTR, EffectiveParameters
from autoinstr.instrument.profilers.npu import rules
from autoinstr.instrument.profilers.npu.arguments import InitCall, wrap_init

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import ModuleType

MODULE = "torch_npu.profiler.experimental_config"
# Either parameter makes torch_npu take ranges. Which of them exist depends on the version.
_RANGE_FLAGS = ("mstx", "msprof_tx")
_PLAIN_PARAMETERS = (
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
    """The parameters of every _ExperimentalConfig of this process."""

    def __init__(
        self,
        values: Mapping[str, Any],
        source: str,
        domain: str | None,
        effective: EffectiveParameters,
    ) -> None:
        """`source`: where `values` come from.

        `domain`: the domain of module ranges; None if no ranges go to mstx.
        """
        self._values = values
        self._source = source
        self._domain = domain
        self._effective = effective

    def apply(self, module: ModuleType) -> None:
        """Wrap the class. `module` is torch_npu.profiler.experimental_config."""
        levels, metrics = _list_constants(module.ProfilerLevel), _list_constants(module.AiCMetrics)
        words = {constant: word for word, constant in metrics.items()}
        constants = rules.TorchNpuConstants(
            levels,
            metrics,
            tuple(_list_constants(module.ExportType).values()),
            _list_hosts(module),
            lambda: _always_exports_db(module),
        )
        takes_list = hasattr(module._ExperimentalConfig, "_conver_export_type_to_list")

        def set_arguments(call: InitCall) -> None:
            self._set_constant(call, "profiler_level", levels)
            self._set_constant(call, "aic_metrics", metrics)
            self._set_range_flags(call)
            self._set_exports(call, constants, takes_list)
            for name in _PLAIN_PARAMETERS:
                if name in self._values:
                    call.set_argument(name, self._values[name], self._source)
            call.announce_resets(rules.predict_config_resets(call.arguments, constants), words)
            self._check_domain_filters(call)

        def read_result(config: Any, call: InitCall) -> None:
            values = {
                name: getattr(config, f"_{name}", getattr(config, name, None))
                for name in call.parameters
            }
            self._effective.add_config(
                config, [call.read_back(name, value, words) for name, value in values.items()]
            )

        wrap_init(module._ExperimentalConfig, set_arguments, read_result, lambda _: False)

    def _set_constant(self, call: InitCall, name: str, constants: Mapping[str, Any]) -> None:
        word = self._values.get(name)
        if word is None:
            return
        if word in constants:
            call.set_argument(name, constants[word], self._source)
        else:
            log.write_once(
                f"torch_npu has no {word}",
                "warning",
                "this torch_npu has no such value",
                parameter=name,
                value=word,
            )

    def _set_range_flags(self, call: InitCall) -> None:
        names = [name for name in _RANGE_FLAGS if name in call.parameters]
        is_option_set = "mstx" in self._values
        value = self._values["mstx"] if is_option_set else self._domain is not None
        if not (is_option_set or value):
            return
        if value and any(call.arguments.get(name) is True for name in names):
            return
        if not names:
            log.write_once(
                "torch_npu has no mstx",
                "warning",
                "this torch_npu takes no ranges",
                parameter="mstx",
            )
        for name in names[:1] if value else names:
            call.set_argument(name, value, self._source if is_option_set else AUTOINSTR)

    def _set_exports(
        self, call: InitCall, constants: rules.TorchNpuConstants, takes_list: bool
    ) -> None:
        """Set export_type. `takes_list`: it takes a list of types.

        If it takes none (before torch_npu 2.5), or if there are no domains, module_statistic has
        nothing to read. Without msprof, torch_npu's analysis would fail at a database, and lose the
        program's own export too.
        """
        types = self._values.get("export_type")
        if types is not None:
            if not takes_list and len(types) > 1:
                log.write_once(
                    "export_type",
                    "warning",
                    "this torch_npu exports one type at a time",
                    asked=types,
                    taken=types[-1],
                )
            call.set_argument("export_type", list(types) if takes_list else types[-1], self._source)
        elif self._domain is not None and takes_list and "mstx_domain_include" in call.parameters:
            argument = call.arguments.get("export_type") or []
            program_types = argument if isinstance(argument, list) else [argument]
            valid_types = [item for item in program_types if item in constants.exports] or ["text"]
            if "db" in valid_types:
                return
            if _is_on_path("msprof"):
                call.set_argument("export_type", [*valid_types, "db"], AUTOINSTR)
            else:
                log.write_once(
                    "no msprof",
                    "warning",
                    "msprof is not on PATH: no database, which module_statistic needs, is exported",
                )

    def _check_domain_filters(self, call: InitCall) -> None:
        names = ("mstx_domain_include", "mstx_domain_exclude")
        include, exclude = (
            () if name in call.announced else call.arguments.get(name) or () for name in names
        )
        if self._domain is not None and (
            self._domain not in include if include else self._domain in exclude
        ):
            log.write_once(
                "domain filter",
                "warning",
                "a domain filter leaves module ranges out",
                domain=self._domain,
                parameter=names[0] if include else names[1],
            )


def _list_constants(cls: type) -> dict[str, Any]:
    return {name: value for name, value in vars(cls).items() if not name.startswith("_")}


def _list_hosts(module: ModuleType) -> tuple[Any, ...]:
    cls = getattr(module, "HostSystem", None)
    return tuple(_list_constants(cls).values()) if cls is not None else ()


def _always_exports_db(module: ModuleType) -> bool:
    manager = getattr(module, "CannPackageManager", None)
    is_supported = getattr(manager, "is_support_default_export_db", None)
    return bool(is_supported is not None and is_supported())


def _is_on_path(program: str) -> bool:
    """Return whether a folder of $PATH has this program."""
    paths = [f"{folder}/{program}" for folder in os.environ.get("PATH", "").split(":") if folder]
    return any(is_file(path) and calls.access(path, calls.X_OK) for path in paths)
