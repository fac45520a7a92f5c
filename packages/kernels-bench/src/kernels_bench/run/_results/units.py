"""Times and sizes with units that suit their magnitude."""


def seconds(value: float) -> str:
    """A time in s, ms or us.

    Example:
        >>> [seconds(t) for t in (2.5, 0.0123, 45e-6)]
        ['2.50 s', '12.3 ms', '45.0 us']
    """
    for unit, scale in (("s", 1.0), ("ms", 1e-3)):
        if value >= scale:
            return f"{value / scale:.3g} {unit}" if value / scale >= 10 else f"{value / scale:.2f} {unit}"
    return f"{value / 1e-6:.1f} us"


def mebibytes(value: int | None) -> str:
    return "-" if value is None else f"{value / 2**20:.1f} MiB"
