/* SPDX-License-Identifier: BSD-2-Clause */
#include "libweir/base/rand.h"

#include <string.h>

uint64_t wr_rand_mix(uint64_t x)
{
    x += 0x9e3779b97f4a7c15;
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9;
    x = (x ^ x >> 27) * 0x94d049bb133111eb;
    return x ^ x >> 31;
}

void wr_rand_init(struct wr_rand *r, uint64_t seed)
{
    for (uint64_t i = 0; i < 4; i++)
        r->s[i] = wr_rand_mix(seed + i * 0x9e3779b97f4a7c15);
}

void wr_rand_split(struct wr_rand *r, struct wr_rand *out)
{
    wr_rand_init(out, wr_rand_u64(r));
}

static uint64_t rotl(uint64_t x, unsigned n)
{
    return x << n | x >> (64 - n);
}

uint64_t wr_rand_u64(struct wr_rand *r)
{
    uint64_t *s = r->s, out = rotl(s[1] * 5, 7) * 9, t = s[1] << 17;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = rotl(s[3], 45);
    return out;
}

/* The high half of a 128-bit product; draws whose low half falls in the uneven rest are repeated. */
uint64_t wr_rand_below(struct wr_rand *r, uint64_t n)
{
    if (n == 0)
        return 0;
    uint64_t rest = -n % n;
    for (;;) {
        unsigned __int128 m = (unsigned __int128)wr_rand_u64(r) * n;
        if ((uint64_t)m >= rest)
            return (uint64_t)(m >> 64);
    }
}

uint64_t wr_rand_between(struct wr_rand *r, uint64_t lo, uint64_t hi)
{
    return hi - lo == UINT64_MAX ? wr_rand_u64(r) : lo + wr_rand_below(r, hi - lo + 1);
}

bool wr_rand_one_in(struct wr_rand *r, uint64_t n)
{
    return n && wr_rand_below(r, n) == 0;
}

void wr_rand_fill(struct wr_rand *r, void *p, size_t n)
{
    unsigned char *b = p;
    for (uint64_t v = 0; n > 0; n--, v >>= 8) {
        if (((size_t)(b - (unsigned char *)p) & 7) == 0)
            v = wr_rand_u64(r);
        *b++ = (unsigned char)v;
    }
}

static void swap_bytes(unsigned char *a, unsigned char *b, size_t n)
{
    for (; n > 0; n--, a++, b++) {
        unsigned char c = *a;
        *a = *b;
        *b = c;
    }
}

void wr_rand_shuffle(struct wr_rand *r, void *base, size_t n, size_t size)
{
    unsigned char *b = base;
    for (size_t i = n; i > 1; i--)
        swap_bytes(b + (i - 1) * size, b + wr_rand_below(r, i) * size, size);
}
