# SPDX-License-Identifier: Apache-2.0
"""What ESP-IDF's build would tell the compiler about a project."""

import re


def settings(project) -> list[str]:
    """Macros that ESP-IDF makes of settings, as far as our sources look at them."""
    whole = "".join(p.read_text() for p in project.path.glob("sdkconfig.defaults*"))
    numbers = dict(re.findall(r"^CONFIG_(ESP_MAIN_TASK_STACK_SIZE)=(\d+)$", whole, re.M))
    chip = project.board.chip.upper()
    numbers |= {f"IDF_TARGET_{chip}": "1"}
    numbers["ESP_DEFAULT_CPU_FREQ_MHZ"] = re.search(r"CONFIG_ESP_DEFAULT_CPU_FREQ_MHZ_(\d+)=y", whole)[1]
    menu = (project.path / "main" / "Kconfig.projbuild").read_text()
    numbers |= dict(re.findall(r"config (BITMAR_\w+)\n +int .*\n(?: +range .*\n)? +default (\d+)", menu))
    if project.board.speed.cores == 1:
        numbers["FREERTOS_UNICORE"] = "1"
    return [f"-DCONFIG_{name}={number}" for name, number in numbers.items()]
