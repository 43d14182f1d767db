/*
 * A pppd plugin (pppd 2.4.9): insists on stateful MPPE in both directions.
 *
 * pppd by itself asks for stateless mode, and takes it whenever it is offered. Old equipment does
 * not; this stands in for it. CCP packets are looked at before pppd sees them: what would move it
 * to stateless mode is changed or answered here.
 */
#include <string.h>

#include <pppd/pppd.h>
#include <pppd/fsm.h>
#include <pppd/ccp.h>
#include <pppd/mppe.h>

char pppd_version[] = VERSION;

#define HEADER 4
#define MPPE_OPTION 18
#define MPPE_OPTION_LENGTH 6
#define STATELESS 0x01
#define STRENGTH_128 0x40
#define STRENGTH_40 0x20

static void (*input)(int unit, u_char *packet, int length);
/* How often the peer was told to send statefully. */
static int told;

/* The bits of the MPPE option that a Configure packet begins with. */
static u_char *mppe_bits(u_char *packet, int length)
{
	if (length < HEADER + MPPE_OPTION_LENGTH || packet[HEADER] != MPPE_OPTION)
		return NULL;
	return packet + HEADER + 2;
}

static void look_at(int unit, u_char *packet, int length)
{
	u_char *bits = mppe_bits(packet, length);

	if (bits && packet[0] == CONFNAK)
		bits[0] &= ~STATELESS;
	if (bits && packet[0] == CONFREQ && (bits[0] & STATELESS) && told < 3) {
		u_char option[MPPE_OPTION_LENGTH];

		told++;
		memcpy(option, packet + HEADER, sizeof option);
		option[2] &= ~STATELESS;
		/* Of the strengths on offer, the one that pppd was told to take. */
		option[5] = ccp_wantoptions[unit].mppe & MPPE_OPT_128 ? STRENGTH_128 : STRENGTH_40;
		fsm_sdata(&ccp_fsm[unit], CONFNAK, packet[1], option, sizeof option);
		return;
	}
	input(unit, packet, length);
}

static void wish(void *opaque, int phase)
{
	if (ccp_wantoptions[0].mppe)
		ccp_wantoptions[0].mppe |= MPPE_OPT_STATEFUL;
}

void plugin_init(void)
{
	input = ccp_protent.input;
	ccp_protent.input = look_at;
	add_notifier(&phasechange, wish, NULL);
}
