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
    WR_CHAR_PATH = 64, /* goes into a path unencoded */
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

#else
#define WR_SCAN_SIMD 0

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

#endif

#endif
