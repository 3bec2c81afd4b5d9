#include <stdlib.h>
#include <sys/socket.h>

#include "gateway/conn.h"
#include "gateway/limits.h"
#include "lib/base/clock.h"

#define S_NS UINT64_C(1000000000)

static const uint64_t limits[] = {
	[CONN_RECEIVE] = GATE_REQUEST_S * S_NS,
	[CONN_WORK] = UINT64_MAX,
	[CONN_ANSWER] = GATE_ANSWER_S * S_NS,
};

void
conns_init(struct conns *cs)
{
	*cs = (struct conns){ .first = NULL };
	lock_init(&cs->lock, RANK_GATEWAY, "gateway connections");
}

void
conns_destroy(struct conns *cs)
{
	lock_destroy(&cs->lock);
}

struct conn *
conn_add(struct conns *cs, int fd)
{
	struct conn *c = calloc(1, sizeof(*c));

	if (c == NULL)
		return (NULL);
	c->fd = fd;
	c->phase = CONN_RECEIVE;
	c->since = clock_mono_ns();
	LOCK_SCOPE(&cs->lock);
	c->next = cs->first;
	if (c->next != NULL)
		c->next->prev = c;
	cs->first = c;
	cs->n++;
	return (c);
}

void
conn_remove(struct conns *cs, struct conn *c)
{
	if (c == NULL)
		return;
	lock_take(&cs->lock);
	if (c->next != NULL)
		c->next->prev = c->prev;
	if (c->prev != NULL)
		c->prev->next = c->next;
	else
		cs->first = c->next;
	cs->n--;
	if (c->phase != CONN_RECEIVE)
		cs->busy--;
	lock_drop(&cs->lock);
	free(c);
}

void
conn_enter(struct conns *cs, struct conn *c, enum conn_phase phase)
{
	if (c == NULL)
		return;
	LOCK_SCOPE(&cs->lock);
	cs->busy += phase != CONN_RECEIVE;
	cs->busy -= c->phase != CONN_RECEIVE;
	c->phase = phase;
	c->since = clock_mono_ns();
}

size_t
conns_cut(struct conns *cs, uint64_t now)
{
	size_t n = 0;

	LOCK_SCOPE(&cs->lock);
	for (struct conn *c = cs->first; c != NULL; c = c->next) {
		if (now < c->since || now - c->since < limits[c->phase])
			continue;
		/* Its thread sees the end, and closes. */
		(void)shutdown(c->fd, SHUT_RDWR);
		c->since = now;
		n++;
	}
	return (n);
}

size_t
conns_busy(struct conns *cs)
{
	LOCK_SCOPE(&cs->lock);
	return (cs->busy);
}
