/* SPDX-License-Identifier: BSD-2-Clause */
#include "weir/doctor/look/look.h"

#include "libweir/base/num.h"
#include "libweir/os/os.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>

int look_lines(const char *path, void (*fn)(void *arg, struct wr_span line), void *arg)
{
    char text[LOOK_LINE_MAX];
    size_t held = 0;
    ssize_t got;
    int fd = wr_os_open(path, O_RDONLY, 0);
    if (fd < 0)
        return fd;
    while ((got = wr_os_read(fd, text + held, sizeof text - held)) > 0) {
        struct wr_span rest = wr_span(text, held + (size_t)got);
        ptrdiff_t end;
        while ((end = wr_span_find_char(rest, '\n')) >= 0) {
            fn(arg, wr_span(rest.p, (size_t)end));
            rest = wr_span_sub(rest, (size_t)end + 1, rest.n);
        }
        if (rest.n == sizeof text) {
            fn(arg, rest);
            rest.n = 0;
        }
        memmove(text, rest.p, rest.n);
        held = rest.n;
    }
    (void)wr_os_close(fd);
    if (held)
        fn(arg, wr_span(text, held));
    return got < 0 ? (int)got : 0;
}

static int numbers(struct wr_span records, int dir,
                   int (*fn)(void *arg, int dir, uint32_t number), void *arg)
{
    size_t head = offsetof(struct dirent64, d_name);
    while (records.n > head) {
        uint16_t len;
        uint64_t v;
        memcpy(&len, records.p + offsetof(struct dirent64, d_reclen), sizeof len);
        if (len <= head || len > records.n)
            return 0;
        const char *name = records.p + head;
        if (wr_num_parse_between(wr_span(name, strnlen(name, len - head)), 0, UINT32_MAX, &v) ==
            0) {
            int r = fn(arg, dir, (uint32_t)v);
            if (r < 0)
                return r;
        }
        records = wr_span_sub(records, len, records.n);
    }
    return 0;
}

int look_numbers(const char *path, int (*fn)(void *arg, int dir, uint32_t number), void *arg)
{
    _Alignas(8) char records[16384];
    int fd = wr_os_open(path, O_RDONLY | O_DIRECTORY, 0), r = 0;
    ssize_t got = 1;
    if (fd < 0)
        return fd;
    while (r >= 0 && (got = wr_os_getdents(fd, records, sizeof records)) > 0)
        r = numbers(wr_span(records, (size_t)got), fd, fn, arg);
    (void)wr_os_close(fd);
    return r < 0 ? r : got < 0 ? (int)got : 0;
}

/* ---- sets of numbers -------------------------------------------------------------------------------- */
#define SET(bits)                                                                   \
    static int order##bits(const void *p, const void *q)                            \
    {                                                                               \
        const uint##bits##_t *a = p, *b = q;                                        \
        return *a < *b ? -1 : *a > *b;                                              \
    }                                                                               \
    bool look_has##bits(const uint##bits##_t *sorted, uint32_t n, uint##bits##_t v) \
    {                                                                               \
        return n && bsearch(&v, sorted, n, sizeof v, order##bits) != NULL;          \
    }                                                                               \
    uint32_t look_set##bits(uint##bits##_t *v, uint32_t n)                          \
    {                                                                               \
        uint32_t kept = 0;                                                          \
        if (n)                                                                      \
            qsort(v, n, sizeof *v, order##bits);                                    \
        for (uint32_t i = 0; i < n; i++)                                            \
            if (kept == 0 || v[i] != v[kept - 1])                                   \
                v[kept++] = v[i];                                                   \
        return kept;                                                                \
    }

SET(32)
SET(64)
