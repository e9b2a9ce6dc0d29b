"""Numbers with units, as people read them."""


def duration(seconds: float) -> str:
    """`12 s`, `3 min 05 s`, `2 h 10 min`."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02} min"


def size(num_bytes: int) -> str:
    """`512 B`, `1.5 kB`, `20.0 MB`: decimal units."""
    number, units = float(num_bytes), ["kB", "MB", "GB", "TB"]
    if num_bytes < 1000:
        return f"{num_bytes} B"
    unit = ""
    while number >= 999.95 and units:
        number, unit = number / 1000, units.pop(0)
    return f"{number:.1f} {unit}"
