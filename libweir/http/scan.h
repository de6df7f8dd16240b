/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef WR_HTTP_SCAN_H
#define WR_HTTP_SCAN_H

/*
 * Finding the end of a token, a target, a value: 16 bytes a step with SSE2, which every x86-64 has,
 * beside a scalar reference that says what they mean and does the last few bytes.
 *
 * 1. Each returns the first byte in [p, end) that does not belong, or end. None reads at or behind end.
 * 2. The SIMD ones and the references agree on every input (scan_fuzz).
 */

#include "libweir/base/compiler.h"

#include <stdbool.h>

/* What a byte may be part of. */
enum wr_char_class {
    WR_CHAR_TOKEN = 1,       /* tchar */
    WR_CHAR_VALUE = 2,       /* field-vchar, SP, HTAB, obs-text */
    WR_CHAR_TARGET = 4,      /* visible ASCII without '#' */
    WR_CHAR_TARGET_HIGH = 8, /* the same and bytes >= 0x80 */
    WR_CHAR_HOST = 16,       /* letters, digits, - . _ ~ */
    WR_CHAR_HEX = 32,
    WR_CHAR_PATH = 64,   /* goes into a path unencoded */
    WR_CHAR_LABEL = 128, /* of a host: what is between the dots */
};
extern const uint8_t wr_char_class[256];

static inline bool wr_char_is(char c, unsigned cls)
{
    return wr_char_class[(unsigned char)c] & cls;
}

static inline const char *wr_scan_scalar(const char *p, const char *end, unsigned cls)
{
    while (p < end && wr_char_is(*p, cls))
        p++;
    return p;
}

#if defined(__SSE2__)
#include <emmintrin.h>
#define WR_SCAN_SIMD 1

/* One bit a byte: 1 where the byte cannot be part. Tokens are judged too strictly here: letters,
 * digits and '-' pass, the rest is left to the table. */
static inline unsigned wr_scan_mask_token(__m128i x)
{
    __m128i lower = _mm_or_si128(x, _mm_set1_epi8(0x20));
    __m128i alpha = _mm_sub_epi8(lower, _mm_set1_epi8((char)('a' + 128)));
    __m128i digit = _mm_sub_epi8(x, _mm_set1_epi8((char)('0' + 128)));
    __m128i good = _mm_or_si128(_mm_cmplt_epi8(alpha, _mm_set1_epi8(-128 + 26)),
                                _mm_cmplt_epi8(digit, _mm_set1_epi8(-128 + 10)));
    good = _mm_or_si128(good, _mm_cmpeq_epi8(x, _mm_set1_epi8('-')));
    return ~(unsigned)_mm_movemask_epi8(good) & 0xffff;
}

static inline unsigned wr_scan_mask_value(__m128i x)
{
    __m128i control = _mm_cmpeq_epi8(_mm_min_epu8(x, _mm_set1_epi8(0x1f)), x);
    __m128i tab = _mm_cmpeq_epi8(x, _mm_set1_epi8('\t'));
    __m128i del = _mm_cmpeq_epi8(x, _mm_set1_epi8(0x7f));
    return (unsigned)_mm_movemask_epi8(_mm_or_si128(_mm_andnot_si128(tab, control), del));
}

/* Signed comparison: bytes >= 0x80 are below 0x21 as well. */
static inline unsigned wr_scan_mask_target(__m128i x)
{
    __m128i low = _mm_cmplt_epi8(x, _mm_set1_epi8(0x21));
    __m128i del = _mm_cmpeq_epi8(x, _mm_set1_epi8(0x7f));
    __m128i hash = _mm_cmpeq_epi8(x, _mm_set1_epi8('#'));
    return (unsigned)_mm_movemask_epi8(_mm_or_si128(low, _mm_or_si128(del, hash)));
}

static inline __m128i wr_scan_load(const char *p)
{
    return _mm_loadu_si128((const __m128i *)(const void *)p);
}

static inline const char *wr_scan_token(const char *p, const char *end)
{
    for (; end - p >= 16; p += 16) {
        unsigned bad = wr_scan_mask_token(wr_scan_load(p));
        if (bad) {
            p += __builtin_ctz(bad);
            if (*p == ':')
                return p;
            break;
        }
    }
    return wr_scan_scalar(p, end, WR_CHAR_TOKEN);
}

static inline const char *wr_scan_value(const char *p, const char *end)
{
    for (; end - p >= 16; p += 16) {
        unsigned bad = wr_scan_mask_value(wr_scan_load(p));
        if (bad)
            return p + __builtin_ctz(bad);
    }
    return wr_scan_scalar(p, end, WR_CHAR_VALUE);
}

static inline const char *wr_scan_target(const char *p, const char *end)
{
    for (; end - p >= 16; p += 16) {
        unsigned bad = wr_scan_mask_target(wr_scan_load(p));
        if (bad)
            return p + __builtin_ctz(bad);
    }
    return wr_scan_scalar(p, end, WR_CHAR_TARGET);
}

/* The same where at least 16 bytes lie in front of end, which a head has behind its first line: the last few
 * are judged by a load that ends with them, and no byte is looked at alone. */
static inline unsigned wr_scan_rest(unsigned bad, const char *p, const char *end)
{
    return bad >> (16 - (end - p));
}

static inline const char *wr_scan_token_in(const char *p, const char *end)
{
    unsigned bad = 0;
    while (end - p >= 16 && !(bad = wr_scan_mask_token(wr_scan_load(p))))
        p += 16;
    if (!bad && p < end)
        bad = wr_scan_rest(wr_scan_mask_token(wr_scan_load(end - 16)), p, end);
    p = bad ? p + __builtin_ctz(bad) : end;
    return bad && *p == ':' ? p : wr_scan_scalar(p, end, WR_CHAR_TOKEN);
}

static inline const char *wr_scan_value_in(const char *p, const char *end)
{
    for (; end - p >= 16; p += 16) {
        unsigned bad = wr_scan_mask_value(wr_scan_load(p));
        if (bad)
            return p + __builtin_ctz(bad);
    }
    if (p == end)
        return end;
    unsigned bad = wr_scan_rest(wr_scan_mask_value(wr_scan_load(end - 16)), p, end);
    return bad ? p + __builtin_ctz(bad) : end;
}

/* Is it a host's name or IPv4 address, without a port, its labels not empty? Only sure when it says yes: at
 * most 16 bytes are looked at, by a load that ends with them, so that 16 must lie in front of end. */
static inline bool wr_scan_is_short_host(const char *p, const char *end)
{
    if (end - p > 16 || end == p)
        return false;
    __m128i x = wr_scan_load(end - 16);
    unsigned dots = wr_scan_rest(
        (unsigned)_mm_movemask_epi8(_mm_cmpeq_epi8(x, _mm_set1_epi8('.'))), p, end);
    unsigned bad = wr_scan_rest(wr_scan_mask_token(x), p, end) & ~dots;
    return !bad && !(dots & (dots << 1 | 1));
}

#else
#define WR_SCAN_SIMD 0

static inline bool wr_scan_is_short_host(const char *p, const char *end)
{
    (void)p;
    (void)end;
    return false;
}

static inline const char *wr_scan_token(const char *p, const char *end)
{
    return wr_scan_scalar(p, end, WR_CHAR_TOKEN);
}

static inline const char *wr_scan_value(const char *p, const char *end)
{
    return wr_scan_scalar(p, end, WR_CHAR_VALUE);
}

static inline const char *wr_scan_target(const char *p, const char *end)
{
    return wr_scan_scalar(p, end, WR_CHAR_TARGET);
}

static inline const char *wr_scan_token_in(const char *p, const char *end)
{
    return wr_scan_scalar(p, end, WR_CHAR_TOKEN);
}

static inline const char *wr_scan_value_in(const char *p, const char *end)
{
    return wr_scan_scalar(p, end, WR_CHAR_VALUE);
}

#endif

#endif
