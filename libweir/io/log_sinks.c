/* SPDX-License-Identifier: BSD-2-Clause */
#include "libweir/io/log_sinks.h"

#include "libweir/io/logger.h"
#include "libweir/os/os.h"

#include <errno.h>

#define FIRST WR_LOGGER_SINKS

struct entry {
    struct wr_log_sink_def def;
    uint32_t live;
};

struct wr_log_sinks {
    size_t bytes; /* of the mapping */
    uint32_t max, count, main;
    struct entry entry[];
};

int wr_log_sinks_new(unsigned max, struct wr_log_sinks **out)
{
    size_t bytes = sizeof(struct wr_log_sinks) + max * sizeof(struct entry);
    int fd = wr_os_memfd("weir-log-sinks", bytes);
    if (fd < 0)
        return fd;
    struct wr_log_sinks *s = wr_os_map_shared(fd, bytes, true);
    (void)wr_os_close(fd);
    if (!s)
        return -ENOMEM;
    s->bytes = bytes;
    s->max = max;
    *out = s;
    return 0;
}

void wr_log_sinks_free(struct wr_log_sinks **at)
{
    struct wr_log_sinks *s = *at;
    *at = NULL;
    if (s)
        (void)wr_os_unmap(s, s->bytes);
}

void wr_log_sinks_begin(struct wr_log_sinks *s)
{
    for (uint32_t i = 0; i < s->count; i++)
        __atomic_store_n(&s->entry[i].live, 0, __ATOMIC_RELAXED);
}

int wr_log_sinks_add(struct wr_log_sinks *s, const struct wr_log_sink_def *def,
                     unsigned *out_channel)
{
    uint32_t i = 0;
    while (i < s->count && memcmp(&s->entry[i].def, def, sizeof *def) != 0)
        i++;
    if (i == s->max)
        return -ENOSPC;
    if (i == s->count)
        s->entry[i].def = *def;
    __atomic_store_n(&s->entry[i].live, 1, __ATOMIC_RELAXED);
    if (i == s->count)
        __atomic_store_n(&s->count, i + 1, __ATOMIC_RELEASE);
    *out_channel = FIRST + i;
    return 0;
}

void wr_log_sinks_set_main(struct wr_log_sinks *s, unsigned channel)
{
    __atomic_store_n(&s->main, channel, __ATOMIC_RELEASE);
}

unsigned wr_log_sinks_main(const struct wr_log_sinks *s)
{
    return __atomic_load_n(&s->main, __ATOMIC_ACQUIRE);
}

unsigned wr_log_sinks_count(const struct wr_log_sinks *s)
{
    return FIRST + __atomic_load_n(&s->count, __ATOMIC_ACQUIRE);
}

static bool has(const struct wr_log_sinks *s, unsigned channel)
{
    return channel >= FIRST && channel < wr_log_sinks_count(s);
}

bool wr_log_sinks_get(const struct wr_log_sinks *s, unsigned channel,
                      struct wr_log_sink_def *out)
{
    if (!has(s, channel))
        return false;
    *out = s->entry[channel - FIRST].def;
    return true;
}

bool wr_log_sinks_live(const struct wr_log_sinks *s, unsigned channel)
{
    return has(s, channel) &&
           __atomic_load_n(&s->entry[channel - FIRST].live, __ATOMIC_RELAXED);
}
