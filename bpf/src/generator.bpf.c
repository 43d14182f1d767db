/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * Sends frames that were prepared ahead, without the kernel's buffers for packets: it is run by
 * BPF_PROG_RUN on live frames and makes each one the next that was prepared. And takes frames away
 * where they arrive, as the other end of such a link.
 */
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/types.h>

#include <bpf/bpf_helpers.h>

/* The longest frame, so that the verifier knows a bound. */
#define MAX_LENGTH 2048

struct prepared {
	__u32 length;
	__u8 bytes[];
};

/* Sizes are set before it is loaded: small frames are to be near each other in the cache. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__uint(key_size, sizeof(__u32));
	__uint(value_size, sizeof(struct prepared) + MAX_LENGTH);
} prepared_frames SEC(".maps");

/* The interface to send through. */
const volatile __u32 target = 0;

/* Room for the bytes of a frame: the size of a value less what is before them. */
const volatile __u32 room = MAX_LENGTH;

/* The frame that is next, and how many there are. */
__u32 next = 0;
__u32 end = 0;

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64);
} discarded SEC(".maps");

SEC("xdp")
int generate(struct xdp_md *ctx)
{
	struct prepared *frame;
	__u32 index = next;
	__u32 length;

	if (index >= end)
		return XDP_DROP;
	frame = bpf_map_lookup_elem(&prepared_frames, &index);
	if (!frame)
		return XDP_ABORTED;
	next = index + 1;
	length = frame->length;
	if (length < ETH_HLEN || length > room)
		return XDP_ABORTED;
	if (length != ctx->data_end - ctx->data &&
	    bpf_xdp_adjust_tail(ctx, (int)length - (int)(ctx->data_end - ctx->data)))
		return XDP_ABORTED;
	if (bpf_xdp_store_bytes(ctx, 0, frame->bytes, length))
		return XDP_ABORTED;
	return bpf_redirect(target, 0);
}

SEC("xdp.frags")
int discard(__attribute__((unused)) struct xdp_md *ctx)
{
	__u32 index = 0;
	__u64 *count = bpf_map_lookup_elem(&discarded, &index);

	if (count)
		*count += 1;
	return XDP_DROP;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
