/* SPDX-License-Identifier: BSD-2-Clause */
#include "weir/master/symbol.h"

#include "libweir/os/os.h"

#include <elf.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#define KNOWN     "symbol_name"
#define TABLE_MAX ((size_t)64 << 20)

struct table {
    const char *base;
    size_t size;
    const Elf64_Sym *symbol;
    size_t n;
    const char *names;
    size_t names_size;
};

/* [at, at + n) of the file, or NULL. */
static const void *part(const struct table *t, uint64_t at, uint64_t n)
{
    return at <= t->size && n <= t->size - at ? t->base + at : NULL;
}

static bool find_table(struct table *t)
{
    const Elf64_Ehdr *e = part(t, 0, sizeof *e);
    if (!e || memcmp(e->e_ident, ELFMAG, SELFMAG) != 0 || e->e_ident[EI_CLASS] != ELFCLASS64 ||
        e->e_shentsize != sizeof(Elf64_Shdr))
        return false;
    const Elf64_Shdr *s = part(t, e->e_shoff, (uint64_t)e->e_shnum * sizeof *s);
    for (unsigned i = 0; s && i < e->e_shnum; i++) {
        if (s[i].sh_type != SHT_SYMTAB || s[i].sh_link >= e->e_shnum)
            continue;
        const Elf64_Shdr *names = &s[s[i].sh_link];
        t->symbol = part(t, s[i].sh_offset, s[i].sh_size);
        t->n = s[i].sh_size / sizeof *t->symbol;
        t->names = part(t, names->sh_offset, names->sh_size);
        t->names_size = names->sh_size;
        return t->symbol && t->names && t->names_size && t->names[t->names_size - 1] == 0;
    }
    return false;
}

static const char *name_of(const struct table *t, const Elf64_Sym *s)
{
    return s->st_name < t->names_size ? t->names + s->st_name : "";
}

static const Elf64_Sym *by_name(const struct table *t, const char *name)
{
    for (size_t i = 0; i < t->n; i++)
        if (ELF64_ST_TYPE(t->symbol[i].st_info) == STT_FUNC &&
            strcmp(name_of(t, &t->symbol[i]), name) == 0)
            return &t->symbol[i];
    return NULL;
}

static const Elf64_Sym *by_address(const struct table *t, uint64_t at)
{
    for (size_t i = 0; i < t->n; i++)
        if (ELF64_ST_TYPE(t->symbol[i].st_info) == STT_FUNC && at >= t->symbol[i].st_value &&
            at < t->symbol[i].st_value + t->symbol[i].st_size)
            return &t->symbol[i];
    return NULL;
}

static bool look_up(struct table *t, uint64_t address, char *out, size_t n)
{
    const Elf64_Sym *known = find_table(t) ? by_name(t, KNOWN) : NULL;
    if (!known)
        return false;
    uint64_t moved = (uint64_t)(uintptr_t)symbol_name - known->st_value;
    const Elf64_Sym *s = by_address(t, address - moved);
    if (!s)
        return false;
    (void)snprintf(out, n, "%s", name_of(t, s));
    return true;
}

void symbol_name(const char *path, uint64_t address, char *out, size_t n)
{
    struct table t = {0};
    struct stat st;
    void *map = NULL;
    int fd = wr_os_open(path, O_RDONLY, 0);
    (void)snprintf(out, n, "%#llx", (unsigned long long)address);
    if (fd < 0)
        return;
    if (wr_os_fstat(fd, &st) == 0 && st.st_size > 0 && (size_t)st.st_size <= TABLE_MAX)
        map = wr_os_map_shared(fd, (size_t)st.st_size, false);
    (void)wr_os_close(fd);
    if (!map)
        return;
    t.base = map;
    t.size = (size_t)st.st_size;
    (void)look_up(&t, address, out, n);
    (void)wr_os_unmap(map, t.size);
}
