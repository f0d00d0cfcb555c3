// SPDX-License-Identifier: Apache-2.0
/* object_impl.h - for the codecs only: objects made around an arena that the decoder sized. */
#ifndef CKUBE_API_OBJECT_IMPL_H
#define CKUBE_API_OBJECT_IMPL_H

#include "common/api/object.h"

struct object *object_new_in(const struct api_kind *kind, struct arena *arena) MUST_CHECK; /* takes the arena */
struct type_meta *object_type_meta(const struct api_type *t, void *body);                  /* NULL when it has none */
void object_set_type_meta(const struct api_kind *kind, void *body);

#endif
