/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * Headers, from the outside in. Each function moves the cursor behind the header that it stores, or
 * returns -1 if the frame ends before that.
 *
 * The verifier is strict with a program that is loaded without CAP_PERFMON: steps into the packet
 * must be constants, and its addresses are compared with its end only, not with NULL.
 */
#ifndef GREYHOUND_PARSE_H
#define GREYHOUND_PARSE_H

#include <linux/if_ether.h>
#include <linux/ip.h>
#include <linux/types.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

/* IEEE 802.1Q, what follows the TPID. */
struct vlan_header {
	__be16 tci;
	__be16 type;
};

/* RFC 2637 section 4.1, the part that is always there. */
struct gre_header {
	__be16 flags;
	__be16 protocol;
	__be16 payload_length;
	__be16 call_id;
};

/* A tag, and one around it (802.1ad). */
#define MAX_VLAN_TAGS 2

/* RFC 791 section 3.1: more fragments, and the offset. Not "don't fragment". */
#define IP_FRAGMENT 0x3fff

/* RFC 2637 section 4.1: K set, version 1; C, R, s and the recursion control clear; S and A free. */
#define GRE_FLAGS_MASK 0xef7f
#define GRE_FLAGS 0x2001
#define GRE_PROTOCOL_PPP 0x880b

struct cursor {
	void *next;
	void *end;
};

static __always_inline int take(struct cursor *cursor, __u32 size, void **header)
{
	void *next = cursor->next + size;

	if (next > cursor->end)
		return -1;
	*header = cursor->next;
	cursor->next = next;
	return 0;
}

static __always_inline int is_vlan(__be16 type)
{
	return type == bpf_htons(ETH_P_8021Q) || type == bpf_htons(ETH_P_8021AD);
}

/* Stores the type behind up to MAX_VLAN_TAGS tags. Returns 0, or -1 if the frame ends before it. */
static __always_inline int take_ethernet(struct cursor *cursor, __be16 *type)
{
	struct ethhdr *ethernet;
	struct vlan_header *vlan;

	if (take(cursor, sizeof(*ethernet), (void **)&ethernet))
		return -1;
	*type = ethernet->h_proto;
#pragma unroll
	for (int tag = 0; tag < MAX_VLAN_TAGS; tag++) {
		if (!is_vlan(*type))
			break;
		if (take(cursor, sizeof(*vlan), (void **)&vlan))
			return -1;
		*type = vlan->type;
	}
	return 0;
}

/* Without options: the cursor is behind the header only if ihl is 5. */
static __always_inline int take_ipv4(struct cursor *cursor, struct iphdr **ip)
{
	return take(cursor, sizeof(**ip), (void **)ip);
}

static __always_inline int take_gre(struct cursor *cursor, struct gre_header **gre)
{
	return take(cursor, sizeof(**gre), (void **)gre);
}

#endif
