/* gateway: connections whose time is over; addresses that can be listened on. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "gateway/conn.h"
#include "gateway/gateway.h"
#include "gateway/limits.h"
#include "gateway/listen.h"
#include "lib/base/clock.h"

#define S_NS UINT64_C(1000000000)

/* Is the other end of ${fd} shut down? */
static bool
ended(int fd)
{
	char c = 0;

	return (recv(fd, &c, 1, MSG_DONTWAIT) == 0);
}

static void
test_phases(void **state UNUSED)
{
	struct conns cs;
	struct conn *c[3];
	int fd[3][2];
	uint64_t now = 0;

	conns_init(&cs);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fd[i]), 0);
		c[i] = conn_add(&cs, fd[i][0]);
		assert_non_null(c[i]);
	}
	assert_int_equal(cs.n, 3);
	assert_int_equal(conns_busy(&cs), 0);
	conn_enter(&cs, c[1], CONN_WORK);
	conn_enter(&cs, c[2], CONN_WORK);
	conn_enter(&cs, c[2], CONN_ANSWER);
	assert_int_equal(conns_busy(&cs), 2);
	now = clock_mono_ns();
	assert_int_equal(conns_cut(&cs, now), 0);
	assert_int_equal(conns_cut(&cs, now - S_NS), 0);
	/* Who waits for a request, and who waits for an answer to be taken; not
	 * a call at work, however long. */
	assert_int_equal(conns_cut(&cs, now + (GATE_REQUEST_S + 1) * S_NS), 2);
	assert_true(ended(fd[0][1]));
	assert_false(ended(fd[1][1]));
	assert_true(ended(fd[2][1]));
	/* Once is enough. */
	assert_int_equal(conns_cut(&cs, now + (GATE_REQUEST_S + 2) * S_NS), 0);
	conn_enter(&cs, c[1], CONN_RECEIVE);
	assert_int_equal(conns_busy(&cs), 1);
	conn_remove(&cs, c[1]);
	conn_remove(&cs, c[2]);
	assert_int_equal(conns_busy(&cs), 0);
	conn_remove(&cs, c[0]);
	conn_remove(&cs, NULL);
	conn_enter(&cs, NULL, CONN_WORK);
	assert_int_equal(cs.n, 0);
	assert_null(cs.first);
	conns_destroy(&cs);
	for (int i = 0; i < 3; i++) {
		(void)close(fd[i][0]);
		(void)close(fd[i][1]);
	}
}

static void
test_addresses(void **state UNUSED)
{
	static const char *const bad[] = { "", ":", "127.0.0.1",
		"127.0.0.1:", "127.0.0.1:x", "127.0.0.1:65536", "127.0.0.1:-1",
		"127.0.0.1: 1", ":9443", "[]:1", "300.1.1.1.1:1" };
	char address[GATEWAY_ADDRESS_MAX];
	char second[GATEWAY_ADDRESS_MAX];
	int fd = -1, other = -1;

	for (size_t i = 0; i < COUNTOF(bad); i++)
		assert_int_equal(
		    listen_tcp(bad[i], false, &fd, address), ERR_INVAL);
	assert_int_equal(
	    listen_tcp("0.0.0.0:0", true, &fd, address), ERR_INVAL);
	assert_int_equal(fd, -1);
	assert_int_equal(listen_tcp("127.0.0.1:0", true, &fd, address), OK);
	assert_int_equal(strncmp(address, "127.0.0.1:", 10), 0);
	assert_string_not_equal(address, "127.0.0.1:0");
	assert_int_equal(listen_tcp(address, true, &other, second), ERR_BUSY);
	(void)close(fd);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_phases),
		cmocka_unit_test(test_addresses),
	};

	return (cmocka_run_group_tests_name("gateway_conn", tests, NULL, NULL));
}
