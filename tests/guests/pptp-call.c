/* A plugin for pppd 2.4.9: a PPTP client whose data path is the kernel's (pptp.ko).
 *
 *     pppd plugin pptp-call.so pptp-server 192.0.2.1 ...
 *
 * It makes the control connection of RFC 2637 and one outgoing call by itself, and hands pppd a
 * connected PX_PROTO_PPTP socket. Afterwards a child process keeps the control connection: it
 * answers echoes and tells pppd, by SIGHUP, that the call is over.
 *
 * It is a peer for tests: its checks are those without which a failure could not be understood.
 */
#include <arpa/inet.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <linux/if_pppox.h>

#include <pppd/pppd.h>
#include <pppd/fsm.h>
#include <pppd/lcp.h>

char pppd_version[] = VERSION;

enum {
	CONTROL_PORT = 1723,
	CONTROL_MESSAGE = 1,
	PROTOCOL_VERSION = 0x0100,
	FRAMING_ANY = 3,
	BEARER_ANY = 3,
	RESULT_OK = 1,
	WINDOW = 64,
	ANSWER_SECONDS = 10,
};
static const uint32_t MAGIC_COOKIE = 0x1A2B3C4D;

enum message_type { /* RFC 2637 section 2 */
	START_REQUEST = 1,
	START_REPLY = 2,
	STOP_REQUEST = 3,
	STOP_REPLY = 4,
	ECHO_REQUEST = 5,
	ECHO_REPLY = 6,
	CALL_REQUEST = 7,
	CALL_REPLY = 8,
	CALL_CLEAR = 12,
	CALL_DISCONNECTED = 13,
};

struct header {
	uint16_t length, pptp_type;
	uint32_t cookie;
	uint16_t type, reserved;
} __attribute__((packed));

struct start {
	struct header header;
	uint16_t version;
	uint8_t result, error;
	uint32_t framing, bearer;
	uint16_t channels, firmware;
	char host[64], vendor[64];
} __attribute__((packed));
_Static_assert(sizeof(struct start) == 156, "RFC 2637 section 2.1");

struct call_request {
	struct header header;
	uint16_t call_id, serial;
	uint32_t slowest, fastest, bearer, framing;
	uint16_t window, delay, number_length, reserved;
	char number[64], subaddress[64];
} __attribute__((packed));
_Static_assert(sizeof(struct call_request) == 168, "RFC 2637 section 2.7");

struct call_reply {
	struct header header;
	uint16_t call_id, peer_call_id;
	uint8_t result, error;
	uint16_t cause;
	uint32_t speed;
	uint16_t window, delay;
	uint32_t channel;
} __attribute__((packed));
_Static_assert(sizeof(struct call_reply) == 32, "RFC 2637 section 2.8");

struct echo_reply {
	struct header header;
	uint32_t identifier;
	uint8_t result, error;
	uint16_t reserved;
} __attribute__((packed));
_Static_assert(sizeof(struct echo_reply) == 20, "RFC 2637 section 2.6");

struct call_clear {
	struct header header;
	uint16_t call_id, reserved;
} __attribute__((packed));

struct stop_request {
	struct header header;
	uint8_t reason, reserved[3];
} __attribute__((packed));

union message {
	struct header header;
	struct start start;
	struct call_request call_request;
	struct call_reply call_reply;
	struct echo_reply echo_reply;
	struct call_clear call_clear;
	struct stop_request stop_request;
	uint8_t bytes[256];
};

static char *server;
static int control = -1;
static pid_t keeper;
static uint16_t our_call;

static option_t options[] = {
	{ "pptp-server", o_string, &server, "Address of the PPTP server", OPT_PRIO },
	{ NULL },
};

static int send_message(union message *message, enum message_type type, size_t length)
{
	message->header = (struct header){
		.length = htons(length),
		.pptp_type = htons(CONTROL_MESSAGE),
		.cookie = htonl(MAGIC_COOKIE),
		.type = htons(type),
	};
	return send(control, message, length, MSG_NOSIGNAL) == (ssize_t)length ? 0 : -1;
}

/* Returns the type of the next message, or -1 at the end of the connection. */
static int receive_message(union message *message)
{
	size_t head = sizeof message->header, length;

	if (recv(control, message, head, MSG_WAITALL) != (ssize_t)head)
		return -1;
	length = ntohs(message->header.length);
	if (length < head || length > sizeof *message)
		return -1;
	if (length > head &&
	    recv(control, message->bytes + head, length - head, MSG_WAITALL) != (ssize_t)(length - head))
		return -1;
	return ntohs(message->header.type);
}

/* Waits for one type of message; Set-Link-Info and the like may come in between. */
static int await_message(union message *message, enum message_type wanted)
{
	int type;

	while ((type = receive_message(message)) >= 0)
		if (type == (int)wanted)
			return 0;
	return -1;
}

static void set_patience(int seconds)
{
	struct timeval patience = { .tv_sec = seconds };

	setsockopt(control, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
}

static int open_control_connection(struct sockaddr_in *peer)
{
	union message message = { 0 };

	control = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (control < 0 || connect(control, (void *)peer, sizeof *peer) < 0) {
		error("pptp: %s does not answer: %m", server);
		return -1;
	}
	set_patience(ANSWER_SECONDS);
	message.start.version = htons(PROTOCOL_VERSION);
	message.start.framing = htonl(FRAMING_ANY);
	message.start.bearer = htonl(BEARER_ANY);
	message.start.firmware = htons(1);
	strcpy(message.start.host, "guest");
	strcpy(message.start.vendor, "Linux");
	if (send_message(&message, START_REQUEST, sizeof message.start) < 0 ||
	    await_message(&message, START_REPLY) < 0 || message.start.result != RESULT_OK) {
		error("pptp: the control connection was refused");
		return -1;
	}
	return 0;
}

static int make_call(uint16_t *their_call)
{
	union message message = { 0 };

	message.call_request.call_id = htons(our_call);
	message.call_request.serial = htons(1);
	message.call_request.slowest = htonl(2400);
	message.call_request.fastest = htonl(1000000000);
	message.call_request.bearer = htonl(BEARER_ANY);
	message.call_request.framing = htonl(FRAMING_ANY);
	message.call_request.window = htons(WINDOW);
	if (send_message(&message, CALL_REQUEST, sizeof message.call_request) < 0 ||
	    await_message(&message, CALL_REPLY) < 0 || message.call_reply.result != RESULT_OK) {
		error("pptp: the call was refused");
		return -1;
	}
	*their_call = ntohs(message.call_reply.call_id);
	return 0;
}

/* Runs in a child until the call or the connection ends. */
static void keep_control_connection(int data)
{
	union message message;
	int type;

	/* pppd must not outlive the call, nor this process pppd. */
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	close(data);
	while ((type = receive_message(&message)) >= 0 && type != CALL_DISCONNECTED &&
	       type != STOP_REQUEST) {
		if (type == ECHO_REQUEST) {
			message.echo_reply.result = RESULT_OK;
			message.echo_reply.error = 0;
			message.echo_reply.reserved = 0;
			send_message(&message, ECHO_REPLY, sizeof message.echo_reply);
		}
	}
	kill(getppid(), SIGHUP);
	_exit(0);
}

static int start_keeper(int data)
{
	sigset_t none;

	keeper = fork();
	if (keeper != 0)
		return keeper < 0 ? -1 : 0;
	signal(SIGTERM, SIG_DFL);
	signal(SIGHUP, SIG_DFL);
	signal(SIGINT, SIG_DFL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	keep_control_connection(data);
	return 0;
}

static int call_connect(void)
{
	struct sockaddr_in peer = { .sin_family = AF_INET, .sin_port = htons(CONTROL_PORT) }, own;
	struct sockaddr_pppox here = { .sa_family = AF_PPPOX, .sa_protocol = PX_PROTO_PPTP };
	struct sockaddr_pppox there = here;
	socklen_t size = sizeof own;
	uint16_t their_call;
	int data;

	if (!server || !inet_aton(server, &peer.sin_addr)) {
		error("pptp: pptp-server needs an IPv4 address");
		return -1;
	}
	if (open_control_connection(&peer) < 0)
		return -1;
	getsockname(control, (void *)&own, &size);

	/* The kernel chooses our call id when the socket is bound. */
	data = socket(AF_PPPOX, SOCK_STREAM, PX_PROTO_PPTP);
	here.sa_addr.pptp.sin_addr = own.sin_addr;
	size = sizeof here;
	if (data < 0 || bind(data, (void *)&here, sizeof here) < 0 ||
	    getsockname(data, (void *)&here, &size) < 0) {
		error("pptp: no data path in this kernel: %m");
		return -1;
	}
	our_call = here.sa_addr.pptp.call_id;
	if (make_call(&their_call) < 0)
		return -1;
	there.sa_addr.pptp.call_id = their_call;
	there.sa_addr.pptp.sin_addr = peer.sin_addr;
	if (connect(data, (void *)&there, sizeof there) < 0) {
		error("pptp: the data path does not connect: %m");
		return -1;
	}
	set_patience(0);
	if (start_keeper(data) < 0) {
		error("pptp: fork: %m");
		return -1;
	}
	strlcpy(ppp_devnam, server, sizeof ppp_devnam);
	info("pptp: call %d to %s, call %d there", our_call, server, their_call);
	return data;
}

/* Clears the call as RFC 2637 wants it: the keeper sees the Call-Disconnect-Notify and leaves. */
static void call_disconnect(void)
{
	union message message = { 0 };

	if (control < 0)
		return;
	if (keeper > 0) {
		kill(keeper, SIGKILL);
		waitpid(keeper, NULL, 0);
	}
	set_patience(1);
	message.call_clear.call_id = htons(our_call);
	send_message(&message, CALL_CLEAR, sizeof message.call_clear);
	await_message(&message, CALL_DISCONNECTED);
	message = (union message){ .stop_request = { .reason = 1 } };
	send_message(&message, STOP_REQUEST, sizeof message.stop_request);
	await_message(&message, STOP_REPLY);
	close(control);
	control = -1;
}

static void set_send_options(int mtu, u_int32_t accm, int pcomp, int accomp)
{
	netif_set_mtu(0, mtu);
}

static void set_receive_options(int mru, u_int32_t accm, int pcomp, int accomp)
{
}

static struct channel channel = {
	.options = options,
	.connect = call_connect,
	.disconnect = call_disconnect,
	.establish_ppp = generic_establish_ppp,
	.disestablish_ppp = generic_disestablish_ppp,
	.send_config = set_send_options,
	.recv_config = set_receive_options,
};

void plugin_init(void)
{
	add_options(options);
	the_channel = &channel;
	modem = 0;
	/* The kernel's data path does neither compress headers nor escape characters. */
	lcp_wantoptions[0].neg_asyncmap = 0;
	lcp_wantoptions[0].neg_accompression = lcp_allowoptions[0].neg_accompression = 0;
	lcp_wantoptions[0].neg_pcompression = lcp_allowoptions[0].neg_pcompression = 0;
}
