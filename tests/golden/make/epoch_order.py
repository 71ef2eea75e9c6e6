"""The first two orders of 10 rows with seed 42, written again from random.h's and order.hpp's descriptions.

Prints what EpochOrder.IsFrozen in tests/data/order_test.cpp expects. Needs any Python 3.
"""
MASK = 0xFFFFFFFF


def block(key, low, high):
    k0, k1 = key & MASK, key >> 32
    c = [low & MASK, low >> 32, high & MASK, high >> 32]
    for _ in range(10):
        a, b = 0xD2511F53 * c[0], 0xCD9E8D57 * c[2]
        c = [(b >> 32) ^ c[1] ^ k0, b & MASK, (a >> 32) ^ c[3] ^ k1, a & MASK]
        k0, k1 = (k0 + 0x9E3779B9) & MASK, (k1 + 0xBB67AE85) & MASK
    return c


def key_of(key, index):
    x = block(key, index, 1)
    return x[1] << 32 | x[0]


def uniform(key, position):
    x = block(key, position, 0)
    return (((x[1] << 32 | x[0]) >> 12) + 0.5) * 2.0**-52


stream = int.from_bytes(b"shuffle", "big")
for epoch in range(2):
    key = key_of(key_of(42, stream), epoch)
    rows = list(range(10))
    for i in range(9, 0, -1):
        j = int(uniform(key, i) * (i + 1))
        rows[i], rows[j] = rows[j], rows[i]
    print(rows)
