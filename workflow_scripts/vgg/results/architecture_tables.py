"""Tables 1 and 2, from the ConvNets themselves: their layers and their parameters (paper §2)."""

from __future__ import annotations

from dataclasses import replace

from ..nets.convnets import Architecture, describe, parameter_count


def configurations(nets: dict[str, Architecture], paper: dict) -> list[dict]:
    """Table 1: each net's layers from input to output, and whether they are the paper's."""
    rows = []
    for net, architecture in nets.items():
        layers = describe(architecture)
        printed = paper.get(net)
        expected = printed and [
            {"M": "maxpool", "LRN": "LRN"}.get(layer, f"conv{layer}") for layer in printed
        ] + ["FC-4096", "FC-4096", "FC-1000", "soft-max"]
        rows.append(
            {
                "net": net,
                "weight_layers": sum(layer.startswith(("conv", "FC")) for layer in layers),
                "paper_weight_layers": paper["weight_layers"].get(net),
                "layers": layers,
                "equal_to_paper": layers == expected if printed else None,
            }
        )
    return rows


def parameters(nets: dict[str, Architecture], this_run: dict, paper: dict) -> list[dict]:
    """Table 2: parameters at full size, and with this run's widths.

    this_run: fields of `Architecture` that the run's configuration sets.
    """
    rows = []
    for net, architecture in nets.items():
        count, printed = parameter_count(architecture), paper["paper"].get(net)
        rows.append(
            {
                "net": net,
                "parameters": count,
                "paper_millions": printed,
                "difference_millions": None if printed is None else count / 1e6 - printed,
                "parameters_this_run": parameter_count(replace(architecture, **this_run)),
            }
        )
    return rows
