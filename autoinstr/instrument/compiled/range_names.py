"""Names the ranges of a plan for the modules of one call."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from autoinstr.emitters.compiled_range import CompiledRange

if TYPE_CHECKING:
    from autoinstr.base.module_name import ModuleName
    from autoinstr.instrument.compiled.call_sites import Site
    from autoinstr.instrument.compiled.range_plan import RangePlan
    from autoinstr.instrument.modules.name_cache import NameCache

ROOT_SOURCE = "L['self']"  # the module whose method was compiled


def name_ranges(
    plan: RangePlan,
    modules: dict[str, Any],
    own: set[str],
    is_backward: bool,
    name_cache: NameCache,
) -> tuple[list[Any], int, Any]:
    """Return the name of each range for the active output, or 0; and the id and the reference of
    one module.

    `modules` are the modules by source, `own` the sources of those that have a range around this
    code. The reference is None while the agent is off."""
    activation = name_cache.activation
    names: list[Any] = [0] * len(plan.ranges)
    module_id, first_ref = 0, None
    known: dict[Site, tuple[ModuleName, bool] | None] = {}

    def find_name(site: Site) -> tuple[ModuleName, bool] | None:
        nonlocal module_id, first_ref
        if site not in known:
            stack = [modules.get(call.source) for call in reversed(site)]
            stack.append(modules.get(ROOT_SOURCE))
            present = list(
                dict.fromkeys(map(id, [module for module in stack if module is not None]))
            )
            by_id = {id(module): module for module in stack}
            known[site] = None
            if stack[0] is not None:
                named = name_cache.name_inner_module(stack[0], [by_id[key] for key in present[1:]])
                if named is not None:
                    name, is_included, ref = named
                    known[site] = name, is_included
                    if first_ref is None:
                        module_id, first_ref = id(stack[0]), ref
        return known[site]

    output = activation.output
    for index, planned in enumerate(plan.ranges):
        if output is None:
            break
        if planned.members:
            found = [find_name(site) for site in planned.members]
            members = tuple(dict.fromkeys(entry[0] for entry in found if entry is not None))
            if any(entry is not None and entry[1] for entry in found):
                names[index] = output.name_compiled(
                    CompiledRange(members, planned.kernels, False, is_backward)
                )
        elif planned.site[-1].source not in own:
            entry = find_name(planned.site)
            if entry is not None and entry[1]:
                names[index] = output.name_compiled(
                    CompiledRange((entry[0],), (), planned.is_part, is_backward)
                )
    return names, module_id, first_ref
