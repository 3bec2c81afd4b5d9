#include <stdarg.h>
#include <stdio.h>

#include "gateway/aws.h"

static const struct {
	const char *name;
	unsigned status;
} codes[AWS_COUNT_] = { [AWS_NONE] = { "", 200 },
#define AWS_ROW_(code, text, status) [code] = { text, status },
	AWS_LIST(AWS_ROW_)
#undef AWS_ROW_
};

const char *
aws_name(enum aws_code code)
{
	return (codes[code].name);
}

unsigned
aws_status(enum aws_code code)
{
	return (codes[code].status);
}

enum err
aws_fail(
    struct aws_error *e, enum err ret, enum aws_code code, const char *fmt, ...)
{
	va_list ap;

	if (e->code != AWS_NONE)
		return (ret);
	e->code = code;
	va_start(ap, fmt);
	(void)vsnprintf(e->text, sizeof(e->text), fmt, ap);
	va_end(ap);
	return (ret);
}
