// SPDX-License-Identifier: Apache-2.0
/* tunnel.h - pumps bytes between two bufferevents of one loop until one side ends.
 * At most `bound` bytes wait in each direction: the reader of a side stops while the other side does not take them.
 * A half close on one side is passed on (the other direction goes on); an error, or both ends closed, ends the tunnel. */
#ifndef CKUBE_NET_TUNNEL_H
#define CKUBE_NET_TUNNEL_H

#include <stddef.h>
#include <stdint.h>

#include "common/base/mem.h"

struct bufferevent;
struct loop;
struct tunnel;

struct tunnel_options {
    size_t bound;          /* bytes per direction; 0 = 256 KiB */
    uint64_t idle_ms;      /* ends when nothing moved for so long; 0 = never */
    void (*on_end)(void *arg, uint64_t bytes_ab, uint64_t bytes_ba); /* once, last; may be NULL */
    void *arg;
};
/* Takes both bufferevents (same loop, bytes already in their inputs are sent on).  Frees itself at the end. */
struct tunnel *tunnel_start(struct loop *loop, struct bufferevent *a, struct bufferevent *b,
                            const struct tunnel_options *options);
void tunnel_close(struct tunnel *t); /* ends it now; on_end comes before it returns; not after on_end */

#endif
