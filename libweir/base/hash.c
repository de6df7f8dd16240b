/* SPDX-License-Identifier: BSD-2-Clause */
#include "libweir/base/hash.h"

struct sip {
    uint64_t a, b, c, d;
};

static inline uint64_t rotl(uint64_t x, unsigned n)
{
    return x << n | x >> (64 - n);
}

static inline void rounds(struct sip *s, int n)
{
    while (n-- > 0) {
        s->a += s->b;
        s->c += s->d;
        s->b = rotl(s->b, 13) ^ s->a;
        s->d = rotl(s->d, 16) ^ s->c;
        s->a = rotl(s->a, 32);
        s->a += s->d;
        s->c += s->b;
        s->d = rotl(s->d, 21) ^ s->a;
        s->b = rotl(s->b, 17) ^ s->c;
        s->c = rotl(s->c, 32);
    }
}

static inline void absorb(struct sip *s, uint64_t word, int n)
{
    s->d ^= word;
    rounds(s, n);
    s->a ^= word;
}

/* Least significant byte first, on every machine. */
static inline uint64_t load(const char *p, size_t n)
{
    uint64_t v = 0;
    for (size_t i = 0; i < n; i++)
        v |= (uint64_t)(unsigned char)p[i] << (8 * i);
    return v;
}

static inline uint64_t sip(struct wr_hash_key key, struct wr_span in, int per_word, int at_end)
{
    struct sip s = {key.k0 ^ 0x736f6d6570736575, key.k1 ^ 0x646f72616e646f6d,
                    key.k0 ^ 0x6c7967656e657261, key.k1 ^ 0x7465646279746573};
    size_t whole = in.n & ~(size_t)7;
    for (size_t i = 0; i < whole; i += 8)
        absorb(&s, load(in.p + i, 8), per_word);
    uint64_t tail = (uint64_t)in.n << 56;
    if (in.n & 7)
        tail |= load(in.p + whole, in.n & 7);
    absorb(&s, tail, per_word);
    s.c ^= 0xff;
    rounds(&s, at_end);
    return s.a ^ s.b ^ s.c ^ s.d;
}

uint64_t wr_hash_span(struct wr_hash_key key, struct wr_span s)
{
    return sip(key, s, 1, 3);
}

uint64_t wr_hash_u64(struct wr_hash_key key, uint64_t v)
{
    char b[8];
    for (unsigned i = 0; i < 8; i++)
        b[i] = (char)(unsigned char)(v >> (8 * i));
    return sip(key, wr_span(b, 8), 1, 3);
}
