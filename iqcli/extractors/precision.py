"""In which numbers a network is run on a device."""

from __future__ import annotations

import torch


def autocast_type(device: str) -> torch.dtype | None:
    """The shorter floating-point type that `device` computes in at full speed, None if none.

    bfloat16 on CPUs with the instructions for it: emulated elsewhere, it is slower than float32.
    """
    if device == "cpu":
        told = torch.cpu.get_capabilities() if hasattr(torch.cpu, "get_capabilities") else {}
        return torch.bfloat16 if told.get("avx512_bf16") or told.get("amx_bf16") else None
    if device.startswith("cuda") and torch.cuda.is_bf16_supported(including_emulation=False):
        return torch.bfloat16
    return None
