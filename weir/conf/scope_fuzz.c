/* SPDX-License-Identifier: BSD-2-Clause */
/* Any text is refused with a message, or makes a tree whose words are strings and whose scopes are settled. A form
 * feed begins the second file, "a". */
#include "weir/conf/kit.h"

#include "libweir/base/assert.h"
#include "tests/mem_kit.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct mem_kit mem;

static void check_nodes(const struct conf_node *node, const struct conf_node *parent)
{
    for (; node; node = node->next) {
        WR_ASSERT(node->nwords && node->file && node->parent == parent);
        WR_ASSERT(node->line >= 1 && node->end_line >= node->line);
        WR_ASSERT(node->block || !node->children);
        for (uint32_t i = 0; i < node->nwords; i++) {
            WR_ASSERT(strlen(conf_str(node, i)) == conf_arg(node, i).n);
            WR_ASSERT(node->words[i].line >= 1 && node->words[i].column >= 1);
            WR_ASSERT(node->words[i].line <= node->line);
        }
        check_nodes(node->children, node);
    }
}

static void check_scopes(const struct conf_scope *scope)
{
    WR_ASSERT(scope->settled);
    for (const struct conf_scope *s = scope->first_child; s; s = s->next)
        check_scopes(s);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static bool ready;
    struct wr_span text = wr_span(data, size), first;
    struct kit_files files = {.n = 2};
    const struct conf_source source = {kit_read, kit_glob, kit_say, &files};
    struct wr_arena arena;
    struct conf_load load;
    struct conf_scope *top = NULL;
    struct conf_node *nodes = NULL;
    if (!ready && mem_kit_init(&mem, wr_heap_libc(), NULL))
        abort();
    ready = true;
    if (!wr_span_split(&text, '\f', &first))
        first = WR_LIT("");
    const struct kit_file list[] = {
        {"t", first                           },
        {"a", text.p ? text : WR_LIT("env a;")},
    };
    files.list = list;
    wr_arena_init(&arena, &mem.arenas, NULL, WR_ARENA_BLOCK);
    conf_load_init(&load, &arena, &source, kit_modules, 2);
    int err = conf_parse_file(&load, "t", &nodes);
    WR_ASSERT(err == 0);
    check_nodes(nodes, NULL);
    err = kit_load(&load, &arena, &source, "t", &top);
    WR_ASSERT(err ? load.errors > 0 && files.said[0] : load.errors == 0);
    if (!err)
        check_scopes(top);
    wr_arena_deinit(&arena);
    return 0;
}
