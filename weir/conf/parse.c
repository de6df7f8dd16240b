/* SPDX-License-Identifier: BSD-2-Clause */
#include "weir/conf/parse.h"

#include "libweir/base/err.h"
#include "weir/conf/lex.h"

#include <errno.h>

/*
 * One pass over the tokens. A node is made when its ';' or '{' comes; tail is where the next one goes: behind the
 * last sibling, or under the block that was opened last. An included file goes on with the same tail.
 */

struct parser {
    struct conf_load *load;
    struct conf_file *file;
    struct conf_lex lex;
    struct conf_node *parent; /* the innermost open block */
    struct conf_node **tail;
    const struct parser *outer; /* the file that includes this one */
    uint32_t files, blocks;     /* how deep */
    struct conf_word *words;    /* of the directive in the making */
    uint32_t nwords, room;
};

static struct conf_node *add_node(struct parser *p, uint32_t line)
{
    struct conf_node *node = wr_arena_zalloc(p->load->arena, sizeof(*node));
    if (!node)
        return NULL;
    node->parent = p->parent;
    node->file = p->file;
    node->line = node->end_line = line;
    node->words = p->words;
    node->nwords = p->nwords;
    p->words = NULL;
    p->nwords = p->room = 0;
    *p->tail = node;
    p->tail = &node->next;
    return node;
}

/* Ends the tree here. The words so far are given up; the place is `word`'s. */
WR_PRINTF(4, 5)
static int broken(struct parser *p, const struct conf_word *word, const char *hint,
                  const char *fmt, ...)
{
    struct conf_word *place = wr_arena_alloc(p->load->arena, sizeof(*place));
    va_list ap;
    if (!place)
        return -ENOMEM;
    *place = *word;
    place->text = WR_LIT("");
    p->words = place;
    p->nwords = 1;
    struct conf_node *node = add_node(p, p->lex.line > word->line ? p->lex.line : word->line);
    if (!node)
        return -ENOMEM;
    va_start(ap, fmt);
    node->error = wr_arena_vprintf(p->load->arena, fmt, ap);
    va_end(ap);
    node->hint = hint;
    if (!node->error)
        return -ENOMEM;
    p->load->broken = node;
    return 0;
}

static int add_word(struct parser *p, const struct conf_word *word)
{
    if (p->nwords == p->room) {
        uint32_t room = p->room ? 2 * p->room : 4;
        struct conf_word *words = wr_arena_alloc(p->load->arena, room * sizeof(*words));
        if (!words)
            return -ENOMEM;
        if (p->nwords)
            memcpy(words, p->words, p->nwords * sizeof(*words));
        p->words = words;
        p->room = room;
    }
    p->words[p->nwords++] = *word;
    return 0;
}

/* ---- include ---------------------------------------------------------------------------------------------- */

static int parse(struct parser *p);

int conf_path(const struct conf_load *load, struct wr_span path, struct wr_span *out)
{
    const char *base = load->base ? load->base : "";
    if (path.n && (path.p[0] == '/' || path.p[0] == '$'))
        base = "";
    char *p = wr_arena_printf(load->arena, "%s%.*s", base, WR_SPANF(path));
    if (!p)
        return -ENOMEM;
    *out = wr_span_str(p);
    return 0;
}

static struct conf_file *find_file(struct conf_load *load, const char *path)
{
    struct conf_file *f = load->files;
    while (f && strcmp(f->name, path) != 0)
        f = f->next;
    return f;
}

static int add_file(struct conf_load *load, const char *name, struct conf_file **out)
{
    struct conf_file **tail = &load->files;
    struct conf_file *f = wr_arena_zalloc(load->arena, sizeof(*f));
    if (!f)
        return -ENOMEM;
    f->name = wr_arena_strndup(load->arena, name, strlen(name));
    if (!f->name)
        return -ENOMEM;
    while (*tail)
        tail = &(*tail)->next;
    *tail = f;
    *out = f;
    return 0;
}

/* 0, -ENOMEM, or the -errno of the read, with *out NULL. */
static int read_file(struct conf_load *load, const char *path, struct conf_file **out)
{
    struct wr_span text;
    *out = find_file(load, path);
    if (*out)
        return 0;
    int err = load->source->read(load->source->ctx, path, load->arena, &text);
    if (err)
        return err;
    err = add_file(load, path, out);
    if (!err)
        (*out)->text = text;
    return err;
}

static const char *read_call(int err)
{
    return err == -EISDIR ? "pread" : "open";
}

/* What to do about it. */
static const char *read_hint(const struct conf_load *load, int err, bool included)
{
    switch (err) {
    case -ENOENT:
        return included ? "relative names are looked for beside the first file"
               : load->look_only
                   ? "a relative FILE is looked for here, a relative -c below the prefix (-p)"
                   : "a relative -c lies below the prefix (-p); `weir serve DIR` needs no file";
    case -EACCES:
        return "the user that starts the server must be able to read it";
    case -EISDIR:
        return included ? "DIRECTORY/*.conf takes the files in it" : "a file is wanted here";
    case -EFBIG:
        return "no configuration is as large as that";
    default:
        return NULL;
    }
}

static int include_file(struct parser *p, const struct conf_word *word, const char *path)
{
    struct parser inner = {.load = p->load,
                           .parent = p->parent,
                           .tail = p->tail,
                           .outer = p,
                           .files = p->files + 1,
                           .blocks = p->blocks};
    for (const struct parser *o = p; o; o = o->outer)
        if (strcmp(o->file->name, path) == 0)
            return broken(p, word, "an include must not lead back to its own file",
                          "\"%s\" includes itself", path);
    if (inner.files > CONF_MAX_INCLUDES || p->load->includes++ >= CONF_MAX_FILES)
        return broken(p, word, NULL, "too many nested includes: \"%s\"", path);
    int err = read_file(p->load, path, &inner.file);
    if (err == -ENOMEM)
        return err;
    if (err)
        return broken(p, word, read_hint(p->load, err, true), "%s() \"%s\" failed (%d: %s)",
                      read_call(err), path, -err,
                      strerrordesc_np(-err) ? strerrordesc_np(-err) : "?");
    conf_lex_init(&inner.lex, inner.file->text);
    err = parse(&inner);
    p->tail = inner.tail;
    return err;
}

static int include(struct parser *p)
{
    const struct conf_word word = p->words[1];
    const struct conf_source *source = p->load->source;
    struct wr_span full;
    p->words = NULL;
    p->nwords = p->room = 0;
    if (conf_path(p->load, word.text, &full))
        return -ENOMEM;
    const char *path = full.p;
    if (!strpbrk(path, "*?["))
        return include_file(p, &word, path);
    const char **paths = NULL;
    int n = source->glob ? source->glob(source->ctx, path, p->load->arena, &paths) : 0;
    if (n == -ENOMEM)
        return n;
    if (n < 0)
        return broken(p, &word, NULL, "glob() \"%s\" failed (%d: %s)", path, -n,
                      strerrordesc_np(-n) ? strerrordesc_np(-n) : "?");
    for (int i = 0; i < n && !p->load->broken; i++) {
        int err = include_file(p, &word, paths[i]);
        if (err)
            return err;
    }
    return 0;
}

/* ---- tokens ------------------------------------------------------------------------------------------------- */

static int end_of_words(struct parser *p, bool opens)
{
    struct conf_node *node;
    bool is_include = wr_span_eq(p->words[0].text, WR_LIT("include"));
    if (is_include && p->nwords == 2 && !opens)
        return include(p);
    if (is_include)
        return broken(p, &p->words[0], NULL,
                      opens ? "directive \"include\" is not terminated by \";\""
                            : "invalid number of arguments in \"include\" directive");
    node = add_node(p, p->lex.line);
    if (!node)
        return -ENOMEM;
    if (!opens)
        return 0;
    node->block = true;
    p->parent = node;
    p->tail = &node->children;
    if (++p->blocks > CONF_MAX_BLOCKS)
        return broken(p, &node->words[0], NULL, "blocks are nested more than %d deep",
                      CONF_MAX_BLOCKS);
    return 0;
}

static int end_of_file(struct parser *p, const struct conf_word *word, bool inside_block,
                       bool cut)
{
    const char *hint =
        inside_block
            ? wr_arena_printf(p->load->arena, "the block \"%.*s\" of line %u is still open",
                              WR_SPANF(p->parent->words[0].text), p->parent->line)
        : cut ? wr_arena_printf(p->load->arena, "the word that begins in line %u never ends",
                                word->line)
              : NULL;
    if (p->file->one_line)
        return broken(p, word, hint, "unexpected end of parameter, expecting \";\"");
    if (p->nwords || cut)
        return broken(p, word, hint, "unexpected end of file, expecting \";\" or \"}\"");
    return broken(p, word, hint, "unexpected end of file, expecting \"}\"");
}

static int close_block(struct parser *p, const struct conf_node *floor,
                       const struct conf_word *word)
{
    if (p->nwords)
        return broken(p, word,
                      wr_arena_printf(
                          p->load->arena, "is the \";\" missing behind \"%.*s\" in line %u?",
                          WR_SPANF(p->words[p->nwords - 1].text), p->words[p->nwords - 1].line),
                      "unexpected \"}\"");
    if (p->parent == floor)
        return broken(p, word, "no block is open here", "unexpected \"}\"");
    p->parent->end_line = word->line;
    p->tail = &p->parent->next;
    p->parent = p->parent->parent;
    p->blocks--;
    return 0;
}

static int bad_character(struct parser *p, const struct conf_word *word)
{
    if (p->lex.bad == 0)
        return broken(p, word, NULL, "unexpected NUL byte");
    return broken(p, word, "a space or \";\" must follow a closing quote", "unexpected \"%c\"",
                  p->lex.bad);
}

/* Until the end of the file, or load->broken. */
static int parse(struct parser *p)
{
    const struct conf_node *const floor = p->parent;
    struct conf_word word;
    enum conf_token token = CONF_WORD;
    while (!p->load->broken) {
        int err = conf_lex_next(&p->lex, p->load->arena, &word, &token);
        if (err)
            return err;
        if (token == CONF_END && !p->nwords && p->parent == floor)
            return 0;
        if (token == CONF_WORD)
            err = add_word(p, &word);
        else if (token == CONF_END || token == CONF_CUT)
            err = end_of_file(p, &word, p->parent != floor, token == CONF_CUT);
        else if (token == CONF_CLOSE)
            err = close_block(p, floor, &word);
        else if (token == CONF_BAD)
            err = bad_character(p, &word);
        else if (!p->nwords)
            err = broken(p, &word, NULL, "unexpected \"%c\"", token == CONF_OPEN ? '{' : ';');
        else
            err = end_of_words(p, token == CONF_OPEN);
        if (err)
            return err;
    }
    return 0;
}

static int parse_all(struct conf_load *load, struct conf_file *file,
                     struct conf_node **out_nodes)
{
    struct conf_node *first = NULL;
    struct parser p = {.load = load, .file = file, .tail = &first};
    conf_lex_init(&p.lex, file->text);
    int err = parse(&p);
    if (err) {
        conf_fail(load, NULL, 0, "no memory for the configuration \"%s\"", file->name);
        return err;
    }
    *out_nodes = first;
    return 0;
}

int conf_parse_file(struct conf_load *load, const char *path, struct conf_node **out_nodes)
{
    struct conf_file *file;
    int err = read_file(load, path, &file);
    if (err) {
        conf_fail_hint(load, NULL, 0, read_hint(load, err, false),
                       "%s() \"%s\" failed (%d: %s)", read_call(err), path, -err,
                       strerrordesc_np(-err) ? strerrordesc_np(-err) : "?");
        return err;
    }
    return parse_all(load, file, out_nodes);
}

int conf_parse_text(struct conf_load *load, const char *name, struct wr_span text,
                    struct conf_node **out_nodes)
{
    struct conf_file *file;
    int err = add_file(load, name, &file);
    if (err)
        return err;
    file->text = text;
    file->one_line = wr_span_find_char(text, '\n') < 0;
    return parse_all(load, file, out_nodes);
}

int conf_parse_words(struct conf_load *load, struct conf_file *file,
                     struct conf_node **out_node)
{
    struct conf_node *node = NULL;
    struct parser p = {.load = load, .file = file, .tail = &node};
    struct conf_word word;
    enum conf_token token = CONF_WORD;
    conf_lex_init(&p.lex, file->text);
    while (token == CONF_WORD) {
        int err = conf_lex_next(&p.lex, load->arena, &word, &token);
        if (!err && token == CONF_WORD)
            err = add_word(&p, &word);
        if (err)
            return err;
    }
    if (token != CONF_SEMICOLON || !p.nwords)
        return WR_E_SYNTAX;
    if (!add_node(&p, 0))
        return -ENOMEM;
    *out_node = node;
    return 0;
}
