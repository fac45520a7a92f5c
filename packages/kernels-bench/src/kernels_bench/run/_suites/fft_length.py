"""Lengths that FFT libraries compute fast."""


def fast_length(minimum: int) -> int:
    """The smallest even length of at least `minimum` with no prime factor above 5, which FFT libraries compute fast.

    Example:
        >>> [fast_length(n) for n in (1, 7, 97, 1021)]
        [2, 8, 100, 1024]
    """
    length = max(2, minimum + minimum % 2)
    while any(length % prime == 0 for prime in _primes_above_5(length)):
        length += 2
    return length


def _primes_above_5(length: int) -> list[int]:
    for prime in (2, 3, 5):
        while length % prime == 0:
            length //= prime
    return [length] if length > 1 else []
