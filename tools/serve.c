#include "tools/serve.h"
#include "lib/base/log.h"

static int
opened(void *arg, struct kms *k)
{
	struct serve_local *l = arg;
	const struct gateway_opts o = { .kms = k, .dir = l->dir };
	enum err e = OK;

	if (k == NULL)
		return (FS_EXIT_OK);
	e = gateway_start(&o, &l->gateway);
	if (e == OK)
		return (FS_EXIT_OK);
	l->gateway = NULL;
	log_warn("%s/" KMS_SOCKET ": %s; its keys are not served there", l->dir,
	    err_detail(e));
	return (FS_EXIT_OK);
}

static void
closing(void *arg)
{
	struct serve_local *l = arg;

	gateway_stop(l->gateway);
	l->gateway = NULL;
}

void
serve_local_init(struct serve_local *l, const char *dir)
{
	*l = (struct serve_local){
		.hooks = { .arg = l, .opened = opened, .closing = closing },
		.dir = dir,
	};
}
