/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * Steers the GRE frames of known calls to the AF_XDP socket of the queue they arrived on, and tells
 * it whose they are. Everything else is the kernel's: what is not known to be ours passes.
 */
#include <linux/bpf.h>
#include <linux/in.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "abi.h"
#include "parse.h"

/* By queue: the kernel delivers a frame only to a socket of the queue that it arrived on. */
struct {
	__uint(type, BPF_MAP_TYPE_XSKMAP);
	__uint(max_entries, MAX_QUEUES);
	__type(key, __u32);
	__type(value, __u32);
} sockets SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, MAX_SESSIONS);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct session_key);
	__type(value, struct session_owner);
} sessions SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, VERDICTS);
	__type(key, __u32);
	__type(value, __u64);
} counters SEC(".maps");

/* A frame that leaves here without a verdict is ours as far as its headers go. */
#define CONTINUE VERDICTS

static __always_inline enum verdict parse(struct xdp_md *ctx, struct session_key *key)
{
	struct cursor cursor = {
		.next = (void *)(long)ctx->data,
		.end = (void *)(long)ctx->data_end,
	};
	struct gre_header *gre;
	struct iphdr *ip;
	__be16 type;

	if (take_ethernet(&cursor, &type))
		return VERDICT_TRUNCATED;
	if (type != bpf_htons(ETH_P_IP))
		return VERDICT_OTHER;
	if (take_ipv4(&cursor, &ip))
		return VERDICT_TRUNCATED;
	if (ip->version != 4 || ip->ihl < 5 || ip->protocol != IPPROTO_GRE)
		return VERDICT_OTHER;
	if (ip->ihl != 5)
		return VERDICT_IP_OPTIONS;
	if (ip->frag_off & bpf_htons(IP_FRAGMENT))
		return VERDICT_FRAGMENT;
	if (take_gre(&cursor, &gre))
		return VERDICT_TRUNCATED;
	if ((gre->flags & bpf_htons(GRE_FLAGS_MASK)) != bpf_htons(GRE_FLAGS) ||
	    gre->protocol != bpf_htons(GRE_PROTOCOL_PPP))
		return VERDICT_BAD_GRE;
	key->peer = ip->saddr;
	key->call_id = gre->call_id;
	return CONTINUE;
}

/* Writes the owner in front of the frame, where the socket's reader finds it. */
static __always_inline enum verdict label(struct xdp_md *ctx, const struct session_owner *owner)
{
	struct session_owner *front;

	if (bpf_xdp_adjust_meta(ctx, -(int)sizeof(*front)))
		return VERDICT_NO_METADATA;
	front = (void *)(long)ctx->data_meta;
	if ((void *)(front + 1) > (void *)(long)ctx->data)
		return VERDICT_NO_METADATA;
	*front = *owner;
	return VERDICT_REDIRECTED;
}

static __always_inline enum verdict steer(struct xdp_md *ctx)
{
	struct session_key key = {};
	__u32 queue = ctx->rx_queue_index;
	struct session_owner *owner;
	enum verdict verdict;

	verdict = parse(ctx, &key);
	if (verdict != CONTINUE)
		return verdict;
	owner = bpf_map_lookup_elem(&sessions, &key);
	if (!owner)
		return VERDICT_UNKNOWN_CALL;
	if (bpf_xdp_get_buff_len(ctx) > MAX_FRAME_BYTES)
		return VERDICT_OVERSIZE;
	/* The redirect would find out too, but then the frame would be counted as redirected. */
	if (!bpf_map_lookup_elem(&sockets, &queue))
		return VERDICT_NO_SOCKET;
	return label(ctx, owner);
}

static __always_inline void count(enum verdict verdict)
{
	__u32 index = verdict;
	__u64 *counter = bpf_map_lookup_elem(&counters, &index);

	if (counter)
		*counter += 1;
}

/* Frames in several buffers are welcome, so that it attaches to interfaces with a large MTU. */
SEC("xdp.frags")
int pptp_steer(struct xdp_md *ctx)
{
	enum verdict verdict = steer(ctx);

	count(verdict);
	if (verdict != VERDICT_REDIRECTED)
		return XDP_PASS;
	return bpf_redirect_map(&sockets, ctx->rx_queue_index, XDP_PASS);
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
