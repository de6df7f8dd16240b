/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef WR_IO_RESOLVCONF_H
#define WR_IO_RESOLVCONF_H

/*
 * /etc/resolv.conf and /etc/hosts, from text to tables.
 *
 * resolv.conf becomes one fixed struct. hosts becomes an index over the text itself: the text is kept,
 * every (name, address) pair is one entry in a hash of names. Unknown lines and options are ignored, as
 * every resolver does.
 *
 * 1. No text is invalid; the parsers cannot fail but for memory.
 * 2. Later `search`/`domain` lines replace earlier ones. Without a nameserver: 127.0.0.1.
 * 3. The caps are those of the C library, a little wider; what is over them is ignored.
 *
 * Any thread; wr_hosts belongs to who made it.
 */

#include "libweir/base/compiler.h"
#include "libweir/base/span.h"
#include "libweir/io/addr.h"

#include <stdbool.h>

struct wr_heap;

#define WR_RESOLVCONF_SERVERS 4
#define WR_RESOLVCONF_SEARCH  8

struct wr_resolvconf {
    unsigned server_count, search_count;
    struct wr_addr servers[WR_RESOLVCONF_SERVERS];
    char search[WR_RESOLVCONF_SEARCH][254];
    unsigned ndots;      /* 1; at most 15 */
    unsigned timeout_ms; /* 5000 per server; at most 30 s */
    unsigned attempts;   /* 2; at most 5 */
    bool rotate, use_tcp;
};

void wr_resolvconf_parse(struct wr_span text, struct wr_resolvconf *out);

struct wr_hosts; /* opaque */

/* Copies the text. */
WR_MUST int wr_hosts_new(const struct wr_heap *heap, struct wr_span text,
                         struct wr_hosts **out);
void wr_hosts_free(struct wr_hosts **h);

/* The addresses of name, in the order of the file; returns how many were written. */
unsigned wr_hosts_find(const struct wr_hosts *h, struct wr_span name, struct wr_addr *out,
                       unsigned max);
unsigned wr_hosts_count(const struct wr_hosts *h); /* (name, address) pairs */

#endif
