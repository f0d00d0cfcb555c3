// SPDX-License-Identifier: Apache-2.0
/* For cppcheck alone, which does not read the libraries' headers: what their loop macros amount to.  It cannot parse
 * attributes behind function pointers either. */
#define __attribute__(x)
#define HASH_ITER(hh, head, el, tmp) for ((el) = (tmp) = (head); (el); (el) = (tmp))
#define json_array_foreach(a, i, v) for ((i) = 0, (v) = json_array_get(a, i); (v); (v) = json_array_get(a, ++(i)))
#define json_object_foreach(o, k, v) for ((k) = json_object_iter_key(o), (v) = json_object_get(o, k); (v); (v) = json_object_get(o, k))
#define DL_FOREACH(head, el) for ((el) = (head); (el); (el) = (el)->next)
#define DL_FOREACH_SAFE(head, el, tmp) for ((el) = (tmp) = (head); (el); (el) = (tmp))
#define LL_FOREACH(head, el) for ((el) = (head); (el); (el) = (el)->next)
#define LL_FOREACH_SAFE(head, el, tmp) for ((el) = (tmp) = (head); (el); (el) = (tmp))
