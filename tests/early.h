/*
 * early: writes as a mount makes long ones, which it answers before their bytes
 * are sealed; for tests of the store that make writes of any kind.
 */
#ifndef TESTS_EARLY_H
#define TESTS_EARLY_H

#include "store/store.h"

static inline void
early_answer(void *arg)
{
	++*(unsigned *)arg;
}

/* store_write(), or for odd ${nth} store_write_early(). */
static inline enum err
early_write(uint64_t nth, struct store_file *f, uint64_t off, const void *buf,
    size_t len, unsigned flags)
{
	unsigned answers = 0;
	bool answered = false;
	enum err e;

	if (nth % 2 == 0)
		return (store_write(f, off, buf, len, flags));
	e = store_write_early(
	    f, off, buf, len, flags, early_answer, &answers, &answered);
	/* Whoever was answered twice, or is told it was when it was not, has no
	 * request left, or waits for ever. */
	return (answers == (answered ? 1 : 0) ? e : ERR_INTERNAL);
}

#endif
