/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* What the XDP program shares with user space. src/lib.rs has the same in Rust. */
#ifndef GREYHOUND_ABI_H
#define GREYHOUND_ABI_H

#include <linux/types.h>

/* Queues of one interface: the slots of the socket map. */
#define MAX_QUEUES 1024

/* Calls that are steered at once: one for each session that a datapath can hold, and one. */
#define MAX_SESSIONS 65536

/*
 * The longest frame that fits into a chunk of the sockets' memory (2048 bytes) behind the headroom
 * that the kernel keeps in it for XDP (256 bytes). The socket would drop what is longer.
 */
#define MAX_FRAME_BYTES 1792

/* What a call is known by: as in the frame, in network byte order. */
struct session_key {
	__be32 peer;    /* the frame's source address */
	__be16 call_id; /* the call id that we chose */
	__u16 pad;      /* always 0 */
};
_Static_assert(sizeof(struct session_key) == 8, "struct session_key");

/* Who takes care of a call. Also written in front of each frame that is redirected. */
struct session_owner {
	__u32 worker;
	__u32 session;
};
_Static_assert(sizeof(struct session_owner) == 8, "struct session_owner");

/* What was decided about a frame, and so which counter counts it. */
enum verdict {
	VERDICT_OTHER,        /* not IPv4, or not GRE */
	VERDICT_TRUNCATED,    /* ends inside of a header */
	VERDICT_IP_OPTIONS,   /* GRE behind an IPv4 header with options */
	VERDICT_FRAGMENT,     /* GRE in a fragment: the kernel reassembles it */
	VERDICT_BAD_GRE,      /* GRE, but not as RFC 2637 section 4.1 has it */
	VERDICT_UNKNOWN_CALL, /* no session has this peer and call id */
	VERDICT_OVERSIZE,     /* longer than MAX_FRAME_BYTES */
	VERDICT_NO_SOCKET,    /* no socket on the queue that the frame arrived on */
	VERDICT_NO_METADATA,  /* the driver leaves no room in front of the frame */
	VERDICT_REDIRECTED,   /* to the socket of the queue that the frame arrived on */
	VERDICTS,
};

#endif
