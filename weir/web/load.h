/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef WEB_LOAD_H
#define WEB_LOAD_H

/*
 * From a file's name to a generation: what the program does at its start and at every reload.
 *
 * web_load reads the directives of -g and then the file with all its includes, and hands the tree to
 * web_generation_load. All of it, bytes, tree and structs, lies in one web_config with pages of its own,
 * so that an old configuration leaves nothing behind when its last connection has closed.
 *
 * 1. Messages go through `say`, in nginx's words; nothing is printed here.
 * 2. A failed load has no effect but its messages.
 *
 * The caller owns what web_load gave and frees it with web_config_free, after the generation's last user.
 */

#include "libweir/base/heap.h"
#include "weir/web/site.h"

enum {
    WEB_SAY_WARN,
    WEB_SAY_EMERG
};

struct web_source {
    const char *prefix;     /* "/usr/local/weir/", with its slash */
    const char *path;       /* of the file, absolute or as open(2) takes it */
    const char *directives; /* of -g; NULL: none */
    const char *text;       /* instead of the file's bytes; NULL: read it */
    /* severity: WEB_SAY_*; hint: what belongs below, or NULL. */
    void (*say)(void *ctx, int severity, const char *text, const char *hint);
    void *ctx;
    bool look_only; /* nobody will serve this: nothing is made or opened for writing */
    /* For tests: the memory's modes; with passthrough every allocation can be refused. NULL: as usual. */
    const struct wr_mem_options *memory;
    /* May change the tree before its directives are applied; NULL. */
    void (*edit)(void *ctx, struct conf_load *load, struct conf_node *nodes);
};

struct web_config {
    struct web_generation *generation;
    struct conf_load load;         /* files, for dumps */
    const struct conf_node *nodes; /* of the file */
    /* private */
    void *memory;
};

/* old: the one whose zones may go on, or NULL. On failure *out is NULL. */
WR_MUST int web_load(const struct wr_heap *heap, const struct web_source *source,
                     const struct web_config *old, struct web_config **out);
void web_config_free(struct web_config **config); /* takes NULL */

/* The tree only: reads and parses, for tools that look at a broken file. */
WR_MUST int web_load_tree(const struct wr_heap *heap, const struct web_source *source,
                          struct web_config **out);

#endif
