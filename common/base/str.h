// SPDX-License-Identifier: Apache-2.0
/* str.h - strings where NULL and "" are the same thing, as Go's zero string is, and checked numbers. */
#ifndef CKUBE_BASE_STR_H
#define CKUBE_BASE_STR_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "common/base/mem.h"

static inline const char *str_or(const char *s, const char *fallback) /* fallback for NULL and "" */
{
    return s && *s ? s : fallback;
}
static inline const char *str_safe(const char *s)
{
    return s ? s : "";
}
static inline bool str_empty(const char *s)
{
    return !s || !*s;
}
static inline bool str_eq(const char *a, const char *b)
{
    return strcmp(str_safe(a), str_safe(b)) == 0;
}
static inline int str_cmp(const char *a, const char *b)
{
    return strcmp(str_safe(a), str_safe(b));
}
bool str_has_prefix(const char *s, const char *prefix);
bool str_has_suffix(const char *s, const char *suffix);
/* Part between separators, by index from 0; false when there is none.  Nothing is copied. */
bool str_field(const char *s, char sep, unsigned index, const char **ret_at, size_t *ret_len);
char *str_lower(const char *s) MUST_CHECK; /* ASCII */

/* A list of owned strings, zero-initialised empty. */
struct strlist {
    char **items;
    size_t len;
    size_t cap;
};
void strlist_add(struct strlist *l, const char *s);           /* copies */
void strlist_add_take(struct strlist *l, char *s);            /* takes */
void strlist_split(struct strlist *l, const char *s, char sep); /* appends the parts; "" gives none */
bool strlist_has(const struct strlist *l, const char *s);
void strlist_done(struct strlist *l);
static inline void auto_strlist_(struct strlist *l)
{
    strlist_done(l);
}
#define AUTO_STRLIST __attribute__((unused, cleanup(auto_strlist_))) struct strlist

/* Whole string, decimal, no sign surprises.  0 or -EINVAL / -ERANGE; *ret set only on success. */
int parse_i64(const char *s, int64_t *ret);
int parse_u64(const char *s, uint64_t *ret);
int parse_i32(const char *s, int32_t *ret);
int parse_bool(const char *s, bool *ret);             /* as Go's strconv.ParseBool */
int parse_duration_ms(const char *s, int64_t *ret_ms); /* as Go's time.ParseDuration: "1m30s", "250ms" */
int parse_duration_ns(const char *s, int64_t *ret_ns);

/* FNV-1a/FNV-1 32 bit as Go's hash/fnv; start value FNV32_INIT. */
#define FNV32_INIT 2166136261u
uint32_t fnv32a(uint32_t hash, const void *p, size_t len);
uint64_t hash64(const void *p, size_t len); /* fast, for tables in memory; not stable across releases */

#endif
