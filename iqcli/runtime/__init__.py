"""Networks on the CPU without torch: the one package that knows the inference library, OpenVINO.

Where there is no wheel of it (Windows on ARM) torch does the same, with the same weights.
"""
