/*
 * kmsload SOCKET|URL [CA] CONNECTIONS SECONDS: data keys per second, asked of
 * "ssefs serve" over that many connections, each kept open and used by a thread
 * of this process.  Prints
 *
 *	generate	RATE
 *	decrypt		RATE
 *
 * To a URL, requests are signed with AWS_ACCESS_KEY_ID and
 * AWS_SECRET_ACCESS_KEY.  This process has the same processors as the server:
 * what it takes to ask, sign and encrypt is part of the figure.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <curl/curl.h>

#include "lib/base/attrs.h"
#include "lib/base/clock.h"

#define CONNECTIONS_MAX 256
#define BODY_MAX 4096
#define SECOND 1e9

static const char *url, *unix_socket, *ca;
static char userpwd[512];
static char blob[BODY_MAX]; /* of GenerateDataKey, in base64 */
static pthread_barrier_t start;
static atomic_bool stop, failed;

/* What the server says. */
struct answer {
	char text[BODY_MAX];
	size_t len;
};

struct worker {
	bool decrypt;
	unsigned long calls;
};

static size_t
receive(char *p, size_t size, size_t n, void *arg)
{
	struct answer *a = arg;

	(void)size; /* always 1 */
	if (n >= sizeof(a->text) - a->len)
		return 0;
	memcpy(a->text + a->len, p, n);
	a->len += n;
	a->text[a->len] = '\0';
	return n;
}

static CURL *
connection(struct curl_slist **headers, bool decrypt, struct answer *a)
{
	CURL *c = curl_easy_init();

	*headers =
	    curl_slist_append(NULL, "Content-Type: application/x-amz-json-1.1");
	*headers = curl_slist_append(
	    *headers, decrypt ? "X-Amz-Target: TrentService.Decrypt"
			      : "X-Amz-Target: TrentService.GenerateDataKey");
	if (c == NULL || *headers == NULL)
		abort();
	curl_easy_setopt(c, CURLOPT_URL, url);
	curl_easy_setopt(c, CURLOPT_HTTPHEADER, *headers);
	curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, receive);
	curl_easy_setopt(c, CURLOPT_WRITEDATA, a);
	curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L);
	if (unix_socket != NULL) {
		curl_easy_setopt(c, CURLOPT_UNIX_SOCKET_PATH, unix_socket);
		return c;
	}
	curl_easy_setopt(c, CURLOPT_CAINFO, ca);
	curl_easy_setopt(c, CURLOPT_USERPWD, userpwd);
	curl_easy_setopt(c, CURLOPT_AWS_SIGV4, "aws:amz:us-east-1:kms");
	return c;
}

static bool
call(CURL *c, const char *body, struct answer *a)
{
	long status = 0;

	a->len = 0;
	curl_easy_setopt(c, CURLOPT_POSTFIELDS, body);
	const CURLcode e = curl_easy_perform(c);
	if (e == CURLE_OK)
		curl_easy_getinfo(c, CURLINFO_RESPONSE_CODE, &status);
	if (status != 200 && !atomic_exchange(&failed, true))
		fprintf(stderr, "kmsload: %s %ld %.*s\n", curl_easy_strerror(e),
		    status, (int)a->len, a->text);
	return status == 200;
}

static void
body_of(bool decrypt, char *ret, size_t room)
{
	static const char *const ctx = "\"EncryptionContext\":{\"store\":\"s-"
				       "1\",\"object\":\"0123456789\"}";

	if (decrypt)
		(void)snprintf(
		    ret, room, "{\"CiphertextBlob\":\"%s\",%s}", blob, ctx);
	else
		(void)snprintf(ret, room,
		    "{\"KeyId\":\"alias/bench\",\"KeySpec\":\"AES_256\",%s}",
		    ctx);
}

static void *
work(void *arg)
{
	struct worker *w = arg;
	struct curl_slist *headers = NULL;
	char body[2 * BODY_MAX];
	struct answer a;
	CURL *c = connection(&headers, w->decrypt, &a);

	/* Connected before the time begins. */
	body_of(w->decrypt, body, sizeof(body));
	bool good = call(c, body, &a);
	(void)pthread_barrier_wait(&start);
	for (; good && !atomic_load(&stop); w->calls++)
		good = call(c, body, &a);
	curl_easy_cleanup(c);
	curl_slist_free_all(headers);
	return NULL;
}

/* Keep the blob of one data key. */
static bool
one_blob(void)
{
	static const char name[] = "\"CiphertextBlob\":\"";
	struct curl_slist *headers = NULL;
	char body[2 * BODY_MAX];
	struct answer a;
	CURL *c = connection(&headers, false, &a);

	body_of(false, body, sizeof(body));
	const bool good = call(c, body, &a);
	curl_easy_cleanup(c);
	curl_slist_free_all(headers);
	const char *p = good ? strstr(a.text, name) : NULL;
	if (p == NULL)
		return false;
	p += sizeof(name) - 1;
	(void)snprintf(blob, sizeof(blob), "%.*s", (int)strcspn(p, "\""), p);
	return true;
}

/* Calls per second; 0 when one failed. */
static double
measure(bool decrypt, size_t n, unsigned seconds)
{
	static struct worker w[CONNECTIONS_MAX];
	pthread_t t[CONNECTIONS_MAX];
	double calls = 0;

	atomic_store(&stop, false);
	if (pthread_barrier_init(&start, NULL, (unsigned)n + 1) != 0)
		abort();
	for (size_t i = 0; i < n; i++) {
		w[i] = (struct worker){ .decrypt = decrypt };
		if (pthread_create(&t[i], NULL, work, &w[i]) != 0)
			abort();
	}
	(void)pthread_barrier_wait(&start);
	const uint64_t began = clock_mono_ns();
	(void)sleep(seconds);
	atomic_store(&stop, true);
	for (size_t i = 0; i < n; i++) {
		if (pthread_join(t[i], NULL) != 0)
			abort();
		calls += (double)w[i].calls;
	}
	const double took = (double)(clock_mono_ns() - began) / SECOND;
	(void)pthread_barrier_destroy(&start);
	return atomic_load(&failed) ? 0 : calls / took;
}

int
main(int argc, char **argv)
{
	const char *id = getenv("AWS_ACCESS_KEY_ID");
	const char *secret = getenv("AWS_SECRET_ACCESS_KEY");

	if (argc == 5 && strncmp(argv[1], "https:", 6) == 0) {
		url = argv[1];
		ca = argv[2];
		(void)snprintf(userpwd, sizeof(userpwd), "%s:%s",
		    id != NULL ? id : "", secret != NULL ? secret : "");
	} else if (argc == 4) {
		url = "http://localhost/";
		unix_socket = argv[1];
	} else {
		fprintf(stderr, "usage: kmsload SOCKET CONNECTIONS SECONDS\n"
				"       kmsload URL CA CONNECTIONS SECONDS\n");
		return 2;
	}
	const unsigned long n = strtoul(argv[argc - 2], NULL, 10);
	const unsigned long seconds = strtoul(argv[argc - 1], NULL, 10);
	if (n < 1 || n > CONNECTIONS_MAX || seconds < 1 || seconds > 600)
		return 2;
	(void)curl_global_init(CURL_GLOBAL_ALL);
	if (!one_blob())
		return 1;
	printf("generate %.0f\n", measure(false, n, (unsigned)seconds));
	printf("decrypt %.0f\n", measure(true, n, (unsigned)seconds));
	return 0;
}
