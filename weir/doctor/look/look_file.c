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

static int numbers(struct wr_span records, int dir, uint32_t from,
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
        if (wr_num_parse_between(wr_span(name, strnlen(name, len - head)), from, UINT32_MAX,
                                 &v) == 0) {
            int r = fn(arg, dir, (uint32_t)v);
            if (r < 0)
                return r;
        }
        records = wr_span_sub(records, len, records.n);
    }
    return 0;
}

/* Those from a number on. The room is small: a piece of the list is made in one go. */
static int list(int dir, uint32_t from, int (*fn)(void *arg, int dir, uint32_t number),
                void *arg)
{
    _Alignas(8) char records[4096];
    ssize_t got = 1;
    int r = 0;
    while (r >= 0 && (got = wr_os_getdents(dir, records, sizeof records)) > 0)
        r = numbers(wr_span(records, (size_t)got), dir, from, fn, arg);
    return r < 0 ? r : got < 0 ? (int)got : 0;
}

int look_numbers(const char *path, int (*fn)(void *arg, int dir, uint32_t number), void *arg)
{
    int dir = wr_os_open(path, O_RDONLY | O_DIRECTORY, 0);
    if (dir < 0)
        return dir;
    int r = list(dir, 0, fn, arg);
    (void)wr_os_close(dir);
    return r;
}

/* ---- descriptors ------------------------------------------------------------------------------------ */
#define FEW 64 /* so many are listed as fast as they are tried */

/* Tries them in order until as many were seen as there are and a stretch of numbers is free: those that were
 * closed behind us must not hide the last ones. The number to list from; UINT32_MAX: all were seen; negative: fn's. */
static int64_t try_in_turn(int dir, uint64_t count,
                           int (*fn)(void *arg, int dir, uint32_t number), void *arg)
{
    uint64_t seen = 0, absent = 0, in_row = 0;
    for (uint32_t i = 0; i < INT32_MAX; i++) {
        int r = fn(arg, dir, i);
        if (r < 0)
            return r;
        seen += r > 0, absent += r == 0;
        in_row = r > 0 ? 0 : in_row + 1;
        if (seen >= count && in_row > FEW / 4 + seen / FEW)
            return UINT32_MAX;
        if (absent > FEW + seen / 4)
            return i + 1;
    }
    return UINT32_MAX;
}

int look_descriptors(const char *path, int (*fn)(void *arg, int dir, uint32_t number),
                     void *arg)
{
    struct stat st;
    int64_t from = 0;
    int dir = wr_os_open(path, O_RDONLY | O_DIRECTORY, 0), r = 0;
    if (dir < 0)
        return dir;
    if (wr_os_fstat(dir, &st) == 0 && st.st_size > FEW) /* an old kernel does not count them */
        from = try_in_turn(dir, (uint64_t)st.st_size, fn, arg);
    if (from < 0)
        r = (int)from;
    else if (from < UINT32_MAX)
        r = list(dir, (uint32_t)from, fn, arg);
    (void)wr_os_close(dir);
    return r;
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
