/*
 * exits: the exit codes of ssefs.  Scripts rely on them; they never change.
 *
 *	0	done; fsck: the store is clean; audit verify: the log is intact
 *	1	failed, the reason stands on stderr; fsck: problems were found
 *		and all repaired; audit verify: the log was altered
 *	2	used wrongly: unknown command, option or argument
 *	4	fsck, scrub: problems are left; backup: damage was found;
 *		rekey: files were left
 *	16	fsck, added to the others: the audit log was altered
 *	8	fsck, scrub, audit verify, backup --verify: could not be checked
 *		at all
 *
 * "ssefs mount" and mount.ssefs add the codes in fs/mount.h; so does "ssefs
 * serve", and
 *
 *	9	serve: the address cannot be listened on, or the certificate
 *		cannot be used
 */
#ifndef TOOLS_EXITS_H
#define TOOLS_EXITS_H

enum exit_code {
	EXIT_DONE = 0,
	EXIT_FAILED = 1,
	EXIT_REPAIRED = 1,
	EXIT_ALTERED = 1,
	EXIT_USAGE = 2,
	EXIT_LEFT = 4,
	EXIT_UNCHECKED = 8,
	EXIT_LISTEN = 9,
	EXIT_AUDIT = 16
};

#endif
