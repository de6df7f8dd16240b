/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef DOCTOR_RECORD_FIELDS_H
#define DOCTOR_RECORD_FIELDS_H

/*
 * What record.c writes and record_read.c reads: one table of rows and columns, made from record.def, and the names
 * of counters and sysctls, made from facts.def. For these two files only.
 */

#include "weir/doctor/look/facts.h"

#include <string.h>

enum record_kind {
    RECORD_U8,
    RECORD_U16,
    RECORD_U32,
    RECORD_U64,
    RECORD_I32,
    RECORD_IP,   /* 16 bytes */
    RECORD_ARGS, /* 6 numbers of 64 bits */
    RECORD_CHAR,
    RECORD_NAME, /* characters in the row itself */
    RECORD_TEXT, /* a place in the look's text */
};

struct record_field {
    const char *name;
    enum record_kind kind;
    uint16_t at, size;
};

struct record_row {
    const char *word;
    const struct record_field *field;
    unsigned fields;
    size_t list; /* in struct facts_look */
    size_t size; /* of a row */
};

enum record_row_number {
#define ROW(word, list, type) RECORD_##word,
#define FIELD(type, member, kind)
#define END_ROW()
#include "weir/doctor/look/record.def"
    RECORD_ROWS
};

#define RECORD_FIELDS_MAX 64
#define RECORD_ROW_MAX    512

struct record_list { /* any FACTS_LIST */
    void *v;
    uint32_t n, room;
};

extern const struct record_row record_rows[RECORD_ROWS];
extern const char *const record_counter[FACTS_COUNTERS];
extern const char *const record_sysctl[FACTS_SYSCTLS];

static inline uint64_t record_unknown(size_t size)
{
    return size >= 8 ? UINT64_MAX : (1ULL << (8 * size)) - 1;
}

/* An unsigned number of 1, 2, 4 or 8 bytes on a machine that has the low byte first. */
static inline uint64_t record_get(const char *at, size_t size)
{
    uint64_t v = 0;
    memcpy(&v, at, size);
    return v;
}

static inline void record_set(char *at, size_t size, uint64_t v)
{
    memcpy(at, &v, size);
}
_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "record_get copies low bytes");

#endif
