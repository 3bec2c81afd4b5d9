#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "gateway/gateway.h"
#include "gateway/limits.h"
#include "gateway/listen.h"

#define HOST_MAX 256

/* getaddrinfo() takes numbers beyond the last port. */
static bool
port_ok(const char *s)
{
	char *end = NULL;
	const unsigned long n = strtoul(s, &end, 10);

	return (s[0] >= '0' && s[0] <= '9' && *end == '\0' && n <= 65535);
}

/* "HOST:PORT" or "[HOST]:PORT". */
static enum err
split(const char *text, char host[static HOST_MAX], const char **ret_port)
{
	const char *colon = strrchr(text, ':');
	const char *from = text;
	size_t len = 0;

	if (colon == NULL || !port_ok(colon + 1))
		return (err_fail(
		    ERR_INVAL, "\"%s\" is no address; write ADDR:PORT", text));
	len = (size_t)(colon - text);
	if (len >= 2 && from[0] == '[' && from[len - 1] == ']') {
		from++;
		len -= 2;
	}
	if (len == 0 || len >= HOST_MAX)
		return (err_fail(
		    ERR_INVAL, "\"%s\" is no address; write ADDR:PORT", text));
	memcpy(host, from, len);
	host[len] = '\0';
	*ret_port = colon + 1;
	return (OK);
}

static bool
is_local(const struct sockaddr *sa)
{
	if (sa->sa_family == AF_INET) {
		struct sockaddr_in in;

		memcpy(&in, sa, sizeof(in));
		return (ntohl(in.sin_addr.s_addr) >> 24 == 127);
	}
	if (sa->sa_family == AF_INET6) {
		struct sockaddr_in6 in;

		memcpy(&in, sa, sizeof(in));
		return (IN6_IS_ADDR_LOOPBACK(&in.sin6_addr));
	}
	return (false);
}

static enum err
say_address(int fd, char *ret)
{
	struct sockaddr_storage sa;
	socklen_t len = sizeof(sa);
	char host[INET6_ADDRSTRLEN], port[8];

	if (getsockname(fd, (struct sockaddr *)&sa, &len) != 0 ||
	    getnameinfo((struct sockaddr *)&sa, len, host, sizeof(host), port,
		sizeof(port), NI_NUMERICHOST | NI_NUMERICSERV) != 0)
		return (err_fail(ERR_IO, "the address cannot be told"));
	(void)snprintf(ret, GATEWAY_ADDRESS_MAX,
	    sa.ss_family == AF_INET6 ? "[%s]:%s" : "%s:%s", host, port);
	return (OK);
}

static enum err
bind_there(const struct addrinfo *ai, const char *text, int *ret_fd)
{
	int fd CLEANUP_CLOSE = socket(ai->ai_family,
	    SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, ai->ai_protocol);
	const int one = 1;

	if (fd < 0)
		return (err_from_errno(errno));
	(void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (bind(fd, ai->ai_addr, ai->ai_addrlen) != 0 ||
	    listen(fd, GATE_BACKLOG) != 0)
		return (err_fail(errno == EADDRINUSE ? ERR_BUSY : ERR_IO,
		    "cannot listen on %s: %s", text, strerror(errno)));
	*ret_fd = fd;
	fd = -1;
	return (OK);
}

enum err
listen_tcp(const char *text, bool local_only, int *ret_fd, char *ret_address)
{
	const struct addrinfo hints = {
		.ai_flags = AI_NUMERICSERV | AI_PASSIVE,
		.ai_socktype = SOCK_STREAM,
	};
	struct addrinfo *ai = NULL;
	char host[HOST_MAX];
	const char *port = NULL;
	enum err e = OK;
	int rc = 0;

	TRY(split(text, host, &port));
	rc = getaddrinfo(host, port, &hints, &ai);
	if (rc != 0)
		return (err_fail(ERR_INVAL, "\"%s\" is no address: %s", text,
		    gai_strerror(rc)));
	if (local_only && !is_local(ai->ai_addr))
		e = err_fail(ERR_INVAL,
		    "plain HTTP is for this machine only; %s is not an "
		    "address of the loopback",
		    text);
	if (e == OK)
		e = bind_there(ai, text, ret_fd);
	freeaddrinfo(ai);
	if (e == OK)
		e = say_address(*ret_fd, ret_address);
	return (e);
}

/* By way of the directory's descriptor, as a socket's own path must be short;
 * nobody can connect before listen(). */
enum err
listen_unix(int dirfd, int *ret_fd)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	struct stat st;
	int fd CLEANUP_CLOSE = -1;

	if (fstatat(dirfd, KMS_SOCKET, &st, AT_SYMLINK_NOFOLLOW) == 0) {
		if (!S_ISSOCK(st.st_mode))
			return (err_fail(ERR_EXIST,
			    "something that is no socket is named " KMS_SOCKET
			    " there"));
		if (unlinkat(dirfd, KMS_SOCKET, 0) != 0)
			return (err_from_errno(errno));
	}
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	(void)snprintf(sa.sun_path, sizeof(sa.sun_path),
	    "/proc/self/fd/%d/" KMS_SOCKET, dirfd);
	if (fd < 0 || bind(fd, (const struct sockaddr *)&sa, sizeof(sa)) != 0 ||
	    fchmodat(dirfd, KMS_SOCKET, 0600, 0) != 0 ||
	    listen(fd, GATE_BACKLOG) != 0)
		return (err_from_errno(errno));
	*ret_fd = fd;
	fd = -1;
	return (OK);
}
