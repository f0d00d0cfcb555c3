// SPDX-License-Identifier: Apache-2.0
/* field_path.h - where in an object a finding is, and the findings themselves.
 * A path is a chain of frames on the stack: nothing is allocated or printed until something is wrong.
 *
 *   check_container(f, AT_INDEX(AT(path, "containers"), i), &c);   ->  spec.containers[0].image
 *   find_required(f, AT(path, "image"), "");
 *
 * Findings collect into a list that becomes one KERR_INVALID (validate.h).  One thread per list. */
#ifndef CKUBE_REGISTRY_FIELD_PATH_H
#define CKUBE_REGISTRY_FIELD_PATH_H

#include <stdbool.h>

#include "common/api/type.h"
#include "common/base/kerr.h"
#include "common/base/sbuf.h"

struct path {
    const struct path *up; /* NULL: the start */
    const char *name;      /* child or map key; NULL: an index */
    uint32_t index;
    bool key;
};

/* Frames live until the end of the enclosing block. */
#define AT(up_, name_) (&(const struct path){ .up = (up_), .name = (name_) })
#define AT_INDEX(up_, i_) (&(const struct path){ .up = (up_), .index = (uint32_t)(i_) })
#define AT_KEY(up_, key_) (&(const struct path){ .up = (up_), .name = (key_), .key = true })

void path_print(const struct path *p, struct sbuf *out);

struct validate_opts;

struct findings {
    struct kerr *err; /* NULL: none yet; its causes are the findings */
    const struct validate_opts *opts;
    unsigned dropped; /* beyond FINDINGS_MAX */
};
#define FINDINGS_MAX 256

/* Text after the value is the detail; "" for none.  Details are printf-like where that is needed. */
void find_required(struct findings *f, const struct path *p, const char *detail);
void find_invalid(struct findings *f, const struct path *p, const char *value, const char *detail_fmt, ...) PRINTF_LIKE(4, 5);
void find_invalid_int(struct findings *f, const struct path *p, int64_t value, const char *detail_fmt, ...) PRINTF_LIKE(4, 5);
void find_invalid_bool(struct findings *f, const struct path *p, bool value, const char *detail);
void find_invalid_null(struct findings *f, const struct path *p, const char *detail);
/* `value` is written as JSON by the type's table. */
void find_invalid_struct(struct findings *f, const struct path *p, const struct api_type *type, const void *value,
                         const char *detail);
void find_invalid_list(struct findings *f, const struct path *p, const struct string_slice *value, const char *detail_fmt, ...)
    PRINTF_LIKE(4, 5);
void find_invalid_map(struct findings *f, const struct path *p, const struct string_map *value, const char *detail);
void find_invalid_raw(struct findings *f, const struct path *p, const char *json, const char *detail); /* value given as JSON */
void find_unsupported(struct findings *f, const struct path *p, const char *value, const char *const *supported); /* NULL-terminated */
void find_unsupported_raw(struct findings *f, const struct path *p, const char *json, const char *detail);
void find_duplicate(struct findings *f, const struct path *p, const char *value);
void find_duplicate_int(struct findings *f, const struct path *p, int64_t value);
void find_duplicate_raw(struct findings *f, const struct path *p, const char *json, const char *detail);
void find_not_found(struct findings *f, const struct path *p, const char *value, const char *detail);
void find_forbidden(struct findings *f, const struct path *p, const char *detail_fmt, ...) PRINTF_LIKE(3, 4);
void find_too_long(struct findings *f, const struct path *p, uint32_t max_bytes);
void find_too_many(struct findings *f, const struct path *p, uint32_t have, uint32_t max);
unsigned findings_count(const struct findings *f); /* with the dropped ones */

#endif
