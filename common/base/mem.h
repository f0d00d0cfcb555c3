// SPDX-License-Identifier: Apache-2.0
/* mem.h - allocation that never fails, and ownership that shows in the declaration.
 * Out of memory aborts here and nowhere else.  AUTO(thing) frees on every way out of a scope;
 * steal_ptr() hands a pointer on.  Any thread. */
#ifndef CKUBE_BASE_MEM_H
#define CKUBE_BASE_MEM_H

#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <unistd.h>

#define PRINTF_LIKE(f, a) __attribute__((format(printf, f, a)))
#define MUST_CHECK __attribute__((warn_unused_result))
#define UNUSED __attribute__((unused))
#define NORETURN __attribute__((noreturn))
#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))
#define CONTAINER_OF(ptr, type, member) ((type *)((char *)(ptr)-offsetof(type, member)))

void *xmalloc(size_t size) MUST_CHECK;
void *xcalloc(size_t n, size_t size) MUST_CHECK; /* zeroed; aborts on overflow too */
void *xrealloc(void *p, size_t size) MUST_CHECK;
void *xreallocarray(void *p, size_t n, size_t size) MUST_CHECK;
char *xstrdup(const char *s) MUST_CHECK; /* NULL gives NULL */
char *xstrndup(const char *s, size_t len) MUST_CHECK;
void *xmemdup(const void *p, size_t size) MUST_CHECK;
char *xasprintf(const char *fmt, ...) MUST_CHECK PRINTF_LIKE(1, 2);
char *xvasprintf(const char *fmt, va_list ap) MUST_CHECK;

#define XNEW(type) ((type *)xcalloc(1, sizeof(type)))

/* Takes the pointer out of `p`, leaving NULL, so that AUTO() no longer frees it. */
#define steal_ptr(p)                                                                               \
    ({                                                                                             \
        __typeof__(&(p)) steal_at_ = &(p);                                                         \
        __typeof__(p) stolen_ = *steal_at_;                                                        \
        *steal_at_ = NULL;                                                                         \
        stolen_;                                                                                   \
    })

/* DEFINE_AUTO(x): AUTO(x) *p = NULL; calls x_free(p) at scope end.  DEFINE_AUTO_UNREF: x_unref. */
#define DEFINE_AUTO(type)                                                                          \
    static inline void auto_##type##_(struct type **p) { type##_free(*p); }
#define DEFINE_AUTO_UNREF(type)                                                                    \
    static inline void auto_##type##_(struct type **p) { type##_unref(*p); }
#define AUTO(type) __attribute__((unused, cleanup(auto_##type##_))) struct type

static inline void auto_free_(void *p)
{
    free(*(void **)p);
}
static inline void auto_fd_(const int *fd)
{
    if (*fd >= 0)
        close(*fd);
}
#define AUTO_FREE __attribute__((unused, cleanup(auto_free_)))
#define AUTO_FD __attribute__((unused, cleanup(auto_fd_)))

#endif
