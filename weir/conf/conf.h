/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef CONF_CONF_H
#define CONF_CONF_H

/*
 * Configuration: text in nginx's grammar becomes a tree, tables of directives turn the tree into structs.
 *
 *   bytes --lex/parse--> conf_node tree --conf_apply with the rows of all modules--> fields of structs
 *
 * A module brings rows: name, where allowed, how many arguments, which field, default, one sentence. A block
 * makes a scope, which holds one struct per module and level; when the outermost block is complete,
 * conf_scope_settle walks the scopes and lets every field that a scope left unset take its parent's
 * value, or at the top the row's default, parsed by the same setter. Man page, dump, lint and
 * "nearest known word" read the same rows.
 *
 * 1. Nothing here opens a file or prints: bytes come through conf_source, messages leave through it.
 * 2. Every mistake names file, line and column; loading goes no further than the first one. A mistake of
 *    grammar waits in the tree for its turn, so that the first one in the file is the one reported.
 * 3. Rows that name the same field (allow, deny) are inherited together: all of them or none.
 * 4. Structs are zeroed before their first directive. Everything lies in the arena of the load, which is
 *    the configuration's generation: it is dropped as a whole.
 *
 * Owner: the caller of conf_load_init; single-threaded, at start and on reload.
 */

#include "libweir/base/compiler.h"
#include "libweir/base/mem_arena.h"
#include "libweir/base/span.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* ---- the tree ---------------------------------------------------------------------------------------- */

struct conf_file {
    const char *name; /* as messages say it */
    struct wr_span text;
    struct conf_file *next;
    bool one_line; /* a text of the command line: messages name no line */
};

struct conf_word {
    struct wr_span text; /* quotes and escapes undone; NUL-terminated behind its end */
    uint32_t line, column;
    bool quoted;
};

struct conf_node {
    struct conf_node *next, *parent, *children;
    const struct conf_file *file;
    const struct conf_word
        *words; /* words[0] is the name; '$' sequences are left as they are */
    uint32_t nwords;
    uint32_t line; /* of the ';' or '{' behind the words: what messages say, as nginx does */
    uint32_t end_line; /* of the ';' or '}' */
    bool block;
    const char
        *error; /* not a directive: here the grammar broke; conf_fail says this instead */
    const char *hint;
};

static inline struct wr_span conf_arg(const struct conf_node *node, uint32_t i)
{
    return node->words[i].text;
}
/* The i-th argument as a C string. */
static inline const char *conf_str(const struct conf_node *node, uint32_t i)
{
    return node->words[i].text.p;
}

/* ---- where bytes come from and messages go ------------------------------------------------------------ */

enum conf_severity {
    CONF_WARN,
    CONF_EMERG
};

struct conf_source {
    /* The whole file, in the arena; path stands behind load->base already. Negative: -errno. */
    int (*read)(void *ctx, const char *path, struct wr_arena *arena, struct wr_span *out_text);
    /* Paths that match a pattern of include, sorted; none is 0. */
    int (*glob)(void *ctx, const char *pattern, struct wr_arena *arena,
                const char ***out_paths);
    /* One message without newlines: `unknown directive "lisen" in FILE:3`, and what belongs on a line of its own
     * below: `column 5; did you mean "listen"?`, or NULL. */
    void (*say)(void *ctx, enum conf_severity severity, const char *text, const char *hint);
    void *ctx;
};

/* ---- directives --------------------------------------------------------------------------------------- */

/* Where a directive may stand. */
enum {
    CONF_MAIN = 1 << 0,
    CONF_EVENTS = 1 << 1,
    CONF_HTTP = 1 << 2,
    CONF_SERVER = 1 << 3,
    CONF_LOCATION = 1 << 4,
    CONF_IF_SERVER = 1 << 5,   /* if in server */
    CONF_IF_LOCATION = 1 << 6, /* if in location */
    CONF_LIMIT_EXCEPT = 1 << 7,
    CONF_UPSTREAM = 1 << 8,
    CONF_STREAM = 1 << 9,
};
#define CONF_HSL (CONF_HTTP | CONF_SERVER | CONF_LOCATION)

/* Which of a module's structs a field lies in. */
enum conf_level {
    CONF_AT_CORE,     /* one per configuration: main context, events */
    CONF_AT_HTTP,     /* one per http block */
    CONF_AT_SERVER,   /* http and server blocks, inherited */
    CONF_AT_LOCATION, /* http, server, location, if and limit_except blocks, inherited */
    CONF_LEVELS
};

#define CONF_MANY  255 /* as max: any number */
#define CONF_BLOCK 1   /* flags: `name args { ... }` */
#define CONF_TWICE 2   /* may be given more than once in a block */
#define CONF_NOTE  4   /* accepted, has no effect here; `weir check` says so */
#define CONF_ALONE 8   /* not inherited by inner blocks, takes no default there */

struct conf_load;
struct conf_row;
struct conf_scope;

/* Sets the field. 0, or an error after conf_fail. field points at row->offset in the struct. */
typedef int conf_setter(struct conf_load *load, const struct conf_node *node,
                        const struct conf_row *row, void *field);

struct conf_row {
    const char *name;
    uint32_t contexts;
    uint8_t min, max; /* arguments */
    uint8_t flags;
    uint8_t level; /* enum conf_level */
    conf_setter *set;
    size_t offset, size; /* CONF_FIELD */
    const char *def;     /* arguments of the default, "1m", or NULL: zeroed */
    const void *data;    /* the setter's: a conf_enum table, limits */
    const char *syntax;  /* of the arguments: "on | off", "size [size]" */
    const char *doc;     /* one sentence */
};
#define CONF_FIELD(type, member) offsetof(type, member), sizeof(((type *)0)->member)
#define CONF_NO_FIELD            0, 0

/* Ready setters and the type of their fields. */
conf_setter conf_set_flag; /* bool */
conf_setter conf_set_num;  /* int64_t; data: const struct conf_range * or NULL */
conf_setter conf_set_size; /* uint64_t: 8k 1m 2g, also "off" as UINT64_MAX when data is "off" */
conf_setter
    conf_set_msec; /* uint64_t: 1ms 5s 1m 1h30m, a bare number is seconds; "off" as above */
conf_setter conf_set_sec;  /* uint64_t seconds */
conf_setter conf_set_text; /* struct wr_span */
conf_setter conf_set_enum; /* int; data: const struct conf_enum[] */
conf_setter
    conf_set_bits; /* uint32_t, every argument adds its value; data: const struct conf_enum[] */
conf_setter conf_set_bufs;    /* struct conf_bufs: number size */
conf_setter conf_set_texts;   /* struct conf_texts: all arguments, appended when given twice */
conf_setter conf_set_pairs;   /* struct conf_texts: name value name value */
conf_setter conf_set_nothing; /* for CONF_NOTE */

struct conf_enum {
    const char *name; /* NULL ends the table */
    int value;
};
struct conf_range {
    int64_t min, max;
};
struct conf_bufs {
    uint32_t n;
    uint64_t size;
};
struct conf_texts {
    const struct wr_span *list;
    uint32_t n;
};

/* The same readings for custom setters: 0 or WR_E_SYNTAX, and nothing said. */
WR_MUST int conf_read_size(struct wr_span text, uint64_t *out);
WR_MUST int conf_read_msec(struct wr_span text, uint64_t *out);
WR_MUST int conf_read_sec(struct wr_span text, uint64_t *out);
WR_MUST int conf_read_num(struct wr_span text, int64_t *out);

struct conf_module {
    const char *name;            /* as in --with-NAME_module: "http_gzip" */
    size_t size[CONF_LEVELS];    /* of its structs; 0: none */
    const struct conf_row *rows; /* a row without a name ends them */
    /* After the rows of `scope` have been inherited: what rows cannot say. Parents come first. */
    int (*settle)(struct conf_load *load, struct conf_scope *scope);
};

/* ---- loading ------------------------------------------------------------------------------------------ */

struct conf_load {
    struct wr_arena *arena;
    const struct conf_source *source;
    const struct conf_module *const *modules; /* index = the module's number */
    uint32_t nmodules;
    struct conf_file *files; /* all that were read, in order, each once */
    void *user;              /* the program's */
    bool look_only;          /* nothing may be made or opened for writing: check, explain, -s */
    const char *base; /* put before relative paths of include: "/etc/weir/"; NULL: nothing */
    struct conf_scope
        *scope; /* where directives are being applied: the parent of a block's own scope */
    uint32_t errors, warnings; /* said so far */
    /* private */
    uint32_t nfiles, includes;
    const struct conf_node *broken; /* the first mistake of grammar */
    bool in_default; /* a row's default is being set: nobody is to be warned of it */
};

/* One block's worth of structs. */
struct conf_scope {
    uint32_t context; /* one of CONF_MAIN ... */
    struct conf_scope *parent;
    const struct conf_node *node; /* the block; NULL for the file itself */
    void **at[CONF_LEVELS]; /* [level][module]; shared with the parent where not its own */
    void *user;             /* the block's owner: server, location */
    struct conf_scope *first_child, *next; /* inner blocks in order, for walks */
    /* private */
    struct conf_load *load;
    struct conf_scope *last_child;
    uint64_t **set[CONF_LEVELS]; /* [level][module]: a bit per row */
    uint32_t own;                /* levels that this scope made, as bits */
    bool settled;
};

void conf_load_init(struct conf_load *load, struct wr_arena *arena,
                    const struct conf_source *source, const struct conf_module *const *modules,
                    uint32_t nmodules);

/* Reads a file and all it includes. The tree's nodes are siblings without a parent. Negative: it cannot be read,
 * or no memory, said. A mistake of grammar becomes the last node: conf_apply will stop there. */
WR_MUST int conf_parse_file(struct conf_load *load, const char *path,
                            struct conf_node **out_nodes);
/* The same from memory (-g, tests, `weir serve`). */
WR_MUST int conf_parse_text(struct conf_load *load, const char *name, struct wr_span text,
                            struct conf_node **out_nodes);

/* A path behind the directory of the configuration file (load->base), unless it is absolute or begins with a
 * variable: where nginx looks for includes, certificates, password files. NUL-terminated. */
WR_MUST int conf_path(const struct conf_load *load, struct wr_span path, struct wr_span *out);

/* A scope for a block: levels (bits 1 << CONF_AT_x) get structs of their own, the others are the parent's. */
WR_MUST int conf_scope_new(struct conf_load *load, struct conf_scope *parent,
                           const struct conf_node *node, uint32_t context, uint32_t levels,
                           struct conf_scope **out_scope);
/* Runs the setters of all nodes in the scope. Setters of blocks make scopes of their own and call this again. */
WR_MUST int conf_apply(struct conf_load *load, struct conf_scope *scope,
                       const struct conf_node *nodes);
/* Inherits and defaults, this scope and then its children; each module's settle after its rows. */
WR_MUST int conf_scope_settle(struct conf_load *load, struct conf_scope *scope);
/* Was the field given in this very block? */
bool conf_scope_has(const struct conf_scope *scope, enum conf_level level, uint32_t module,
                    size_t offset);

/* Says `text in FILE:LINE`, below it the column, and returns WR_E_SYNTAX. word: which one is meant (0: the name).
 * node NULL: the place is unknown. */
WR_PRINTF(4, 5)
int conf_fail(struct conf_load *load, const struct conf_node *node, uint32_t word,
              const char *fmt, ...);
/* The same; hint, what to do about it, follows the column: "did you mean \"listen\"?" */
WR_PRINTF(5, 6)
int conf_fail_hint(struct conf_load *load, const struct conf_node *node, uint32_t word,
                   const char *hint, const char *fmt, ...);
WR_PRINTF(4, 5)
void conf_warn(struct conf_load *load, const struct conf_node *node, uint32_t word,
               const char *fmt, ...);

/* The row of a name that may stand in a context; NULL. *out_module may be NULL. */
const struct conf_row *conf_row_find(const struct conf_load *load, struct wr_span name,
                                     uint32_t context, uint32_t *out_module);
/* The known name nearest to a misspelt one, first of those that may stand in the context, or NULL. */
const char *conf_nearest(const struct conf_load *load, struct wr_span name, uint32_t context);
/* What a directive of nginx belongs to that weir has not got ("the proxy"), or NULL. */
const char *conf_known(struct wr_span name);
/* "http, server, if in location"; out is NUL-terminated and cut where it has no room. */
void conf_contexts_text(uint32_t contexts, char *out, size_t n);

#endif
